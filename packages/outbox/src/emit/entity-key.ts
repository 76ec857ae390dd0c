import type { EventDefinition } from '../catalog/define-event.ts';
import { producerError } from '../errors/codes.ts';
import { checkText, limits } from './check-text.ts';

/**
 * The entity that an event belongs to, from its definition's `key`.
 *
 * @param subject `data` is the validator's output, `label` how messages name the event
 * @returns null when the event has none
 * @throws ER2008 when `key` throws, or answers anything but a usable string or null
 */
export function entityKeyOf(
  event: EventDefinition,
  subject: { readonly data: unknown; readonly label: string },
): string | null {
  if (event.key === undefined) return null;
  let key: unknown;
  try {
    key = event.key(subject.data);
  } catch (cause) {
    throw producerError('ER2008', { detail: `${subject.label}: its key function threw.`, cause });
  }
  return key === null ? null : checkText(`${subject.label}: its key`, key, limits.entityKey);
}
