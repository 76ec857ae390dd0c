import { type Objection, type Parsed, refused } from '../parsed.ts';
import type { ValueKind } from '../value-kind.ts';

export interface ListOptions {
  /** How many there must be. Default 0. */
  readonly least?: number;
}

/** A list: in a file an array, in text separated by commas, with spaces around them as one likes. */
export function listOf<T>(each: ValueKind<T>, options: ListOptions = {}): ValueKind<readonly T[]> {
  const { least = 0 } = options;
  const allowed = `a list, each of it ${each.allowed}`;
  const collect = (parts: ReadonlyArray<Parsed<T>>): Parsed<readonly T[]> => {
    if (parts.length < least) {
      return { objections: [{ at: '', found: 'is an empty list', allowed: `it must be ${allowed}` }] };
    }
    const values: T[] = [];
    const objections: Objection[] = [];
    for (const [index, part] of parts.entries()) {
      if ('value' in part) values.push(part.value);
      else objections.push(...part.objections.map((one) => ({ ...one, at: `[${index}]${one.at}` })));
    }
    return objections.length === 0 ? { value: values } : { objections };
  };
  return {
    allowed,
    placeholder: `${each.placeholder.includes('|') ? 'word' : each.placeholder},...`,
    schema: { type: 'array', ...(least > 0 && { minItems: least }), items: each.schema },
    types: { file: listType(each.types.file), value: listType(each.types.value) },
    fromText: (text) => collect(wordsOf(text).map((word) => each.fromText(word))),
    fromFile: (value) =>
      Array.isArray(value) ? collect(value.map((one) => each.fromFile(one))) : refused(value, allowed),
    show: (values) => values.map((value) => each.show(value)).join(','),
  };
}

/** What stands between the commas. */
export function wordsOf(text: string): string[] {
  return text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
}

function listType(type: string): string {
  return type.includes('|') ? `ReadonlyArray<${type}>` : `readonly ${type}[]`;
}
