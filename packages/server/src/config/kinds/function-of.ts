import type { Archive } from '@event-runtime/runtime';
import { refused } from '../parsed.ts';
import type { ValueKind } from '../value-kind.ts';

const allowed = 'a function, which only a configuration file in TypeScript or JavaScript can give';

/** The function that keeps expired partitions elsewhere; undefined: there is none. No text and no JSON can be one. */
export const archiveFunction: ValueKind<Archive | undefined> = {
  allowed,
  placeholder: 'function',
  schema: { not: {} },
  types: { file: 'Archive', value: 'Archive | undefined' },
  fromText: (text) => refused(text, allowed),
  fromFile: (value) => (isFunction(value) ? { value } : refused(value, allowed)),
  show: (value) => (value === undefined ? '' : 'a function'),
};

/** What it takes cannot be seen from outside: that is for TypeScript to check. */
function isFunction(value: unknown): value is Archive {
  return typeof value === 'function';
}
