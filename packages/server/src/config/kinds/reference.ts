import { shown } from '../parsed.ts';
import { referencePattern } from '../secret-reference.ts';
import type { ValueKind } from '../value-kind.ts';

const form = new RegExp(referencePattern);
const allowed = "'env:NAME' or 'file:/path', where the secret is";

/** Where a secret is kept. What stands there instead is not shown: it may be the secret. */
export const reference: ValueKind<string> = {
  allowed,
  placeholder: 'reference',
  schema: { type: 'string', pattern: referencePattern },
  types: { file: 'string', value: 'string' },
  fromText: read,
  fromFile: read,
  show: String,
};

function read(given: unknown): ReturnType<ValueKind<string>['fromFile']> {
  if (typeof given === 'string' && form.test(given)) return { value: given };
  const found =
    typeof given === 'object' ? `is ${shown(given)}` : `is a ${typeof given} that is no reference`;
  return { objections: [{ at: '', found, allowed: `it must be ${allowed}` }] };
}
