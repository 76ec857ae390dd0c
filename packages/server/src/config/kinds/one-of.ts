import { nearestName } from '../nearest-name.ts';
import { type Parsed, refused } from '../parsed.ts';
import type { ValueKind } from '../value-kind.ts';

/** One of a few words. */
export function oneOf<const Word extends string>(words: readonly Word[]): ValueKind<Word> {
  const allowed = `one of ${words.join(', ')}`;
  const read = (given: unknown): Parsed<Word> => {
    const value = words.find((word) => word === given);
    return value === undefined ? refused(given, withNearest(allowed, { given, words })) : { value };
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

/** What is allowed, and which of the words was probably meant. */
export function withNearest(
  allowed: string,
  { given, words }: { readonly given: unknown; readonly words: readonly string[] },
): string {
  const near = typeof given === 'string' ? nearestName(given, words) : undefined;
  return near === undefined ? allowed : `${allowed}; did you mean ${near}?`;
}
