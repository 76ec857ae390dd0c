import type { EventDefinition } from '../catalog/define-event.ts';
import { producerError } from '../errors/codes.ts';
import { issueText } from './issue-text.ts';

/**
 * Runs an event's validator, synchronous or not.
 *
 * @param subject `label` is how messages name the event
 * @returns the validator's output: what is emitted
 * @throws ER2001 with one `path: message` per issue, or with the validator's own error as cause
 */
export async function parseData(
  event: EventDefinition,
  subject: { readonly data: unknown; readonly label: string },
): Promise<unknown> {
  const { data, label } = subject;
  const standard = event.schema['~standard'];
  let result: Awaited<ReturnType<typeof standard.validate>>;
  try {
    result = await standard.validate(data);
  } catch (cause) {
    throw producerError('ER2001', { detail: `${label}: the validator threw.`, cause });
  }
  if (result.issues === undefined) return result.value;
  const issues = issueText(result.issues, { vendor: standard.vendor, data });
  throw producerError('ER2001', { detail: `${label}: ${issues}` });
}
