import type { EventDefinition } from '../catalog/define-event.ts';
import type { SchemaResult } from '../catalog/standard-schema.ts';
import { producerError } from '../errors/codes.ts';
import { issueText } from './issue-text.ts';

/** A validator's output: what is emitted. */
export interface ParsedData {
  readonly value: unknown;
}

/**
 * Runs an event's validator. A promise only where the validator answers one: so that an emit with any other
 * is sent before its caller's next statement, awaited or not.
 *
 * @param subject `label` is how messages name the event
 * @throws ER2001 with one `path: message` per issue, or with the validator's own error as cause, also where it
 *   answers no result
 */
export function parseData(
  event: EventDefinition,
  subject: { readonly data: unknown; readonly label: string },
): ParsedData | Promise<ParsedData> {
  const { data, label } = subject;
  const standard = event.schema['~standard'];
  const threw = (cause: unknown): Error =>
    producerError('ER2001', { detail: `${label}: the validator threw.`, cause });
  const accept = (result: SchemaResult<unknown> | null | undefined): ParsedData => {
    if (typeof result !== 'object' || result === null) throw threw(new TypeError('it answered no result'));
    if (result.issues === undefined) return { value: result.value };
    const issues = issueText(result.issues, { vendor: standard.vendor, data });
    throw producerError('ER2001', { detail: `${label}: ${issues}` });
  };
  let result: ReturnType<typeof standard.validate>;
  try {
    result = standard.validate(data);
  } catch (cause) {
    throw threw(cause);
  }
  if (!isThenable(result)) return accept(result);
  return Promise.resolve(result).then(accept, (cause: unknown) => {
    throw threw(cause);
  });
}

/** A promise of another realm or library is one too. */
function isThenable(
  result: object | null | undefined,
): result is PromiseLike<SchemaResult<unknown> | undefined> {
  return (
    typeof result === 'object' && result !== null && 'then' in result && typeof result.then === 'function'
  );
}
