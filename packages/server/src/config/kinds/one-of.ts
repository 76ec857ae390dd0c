import { type Parsed, refused } from '../parsed.ts';
import type { ValueKind } from '../value-kind.ts';

/** One of a few words. */
export function oneOf<const Word extends string>(words: readonly Word[]): ValueKind<Word> {
  const allowed = `one of ${words.join(', ')}`;
  const read = (given: unknown): Parsed<Word> => {
    const value = words.find((word) => word === given);
    return value === undefined ? refused(given, allowed) : { value };
  };
  const type = words.map((word) => `'${word}'`).join(' | ');
  return {
    allowed,
    placeholder: words.length <= 3 ? words.join('|') : 'word',
    schema: { enum: words },
    types: { file: type, value: type },
    fromText: read,
    fromFile: read,
    show: String,
  };
}
