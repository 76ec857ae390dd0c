import { refused } from '../parsed.ts';
import type { ValueKind } from '../value-kind.ts';

const allowed = 'a function, which only a configuration file in TypeScript or JavaScript can give';

/** A function; what it takes and gives cannot be seen from outside: that is for TypeScript to check. @param type its name there */
export function functionOf<T>(type: string): ValueKind<T> {
  return {
    allowed,
    placeholder: 'function',
    // No JSON can be one.
    schema: { not: {} },
    types: { file: type, value: `${type} | undefined` },
    fromText: (text) => refused(text, allowed),
    fromFile: (value) => (typeof value === 'function' ? { value: value as T } : refused(value, allowed)),
    show: (value) => (value === undefined ? '' : 'a function'),
  };
}
