import type { Parsed } from '../parsed.ts';
import type { ValueKind } from '../value-kind.ts';

/** What stands where secrets are near: a value that is refused is not shown, for it may be one. */
export function unseen<T>(kind: ValueKind<T>): ValueKind<T> {
  const withoutValue = (given: unknown, read: Parsed<T>): Parsed<T> => {
    // What an object or a list is said to be shows nothing.
    if ('value' in read || typeof given === 'object') return read;
    return { objections: read.objections.map((one) => ({ ...one, found: `is a ${typeof given}` })) };
  };
  return {
    ...kind,
    fromText: (text) => withoutValue(text, kind.fromText(text)),
    fromFile: (value) => withoutValue(value, kind.fromFile(value)),
  };
}
