import { refused } from '../parsed.ts';
import type { ValueKind } from '../value-kind.ts';

const allowed = 'true or false';

/** `true` or `false`. */
export const truth: ValueKind<boolean> = {
  allowed,
  placeholder: 'true|false',
  schema: { type: 'boolean' },
  types: { file: 'boolean', value: 'boolean' },
  fromText: (text) =>
    text === 'true' || text === 'false' ? { value: text === 'true' } : refused(text, allowed),
  fromFile: (value) => (typeof value === 'boolean' ? { value } : refused(value, allowed)),
  show: String,
};
