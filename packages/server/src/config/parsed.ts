/** What is wrong with a value, or with a part of it. Both clauses end up in one sentence, see `problem.ts`. */
export interface Objection {
  /** Which part: empty for the value itself, else `[1]` or `[1].path`. */
  readonly at: string;
  /** What was found there: `is 65`, `is missing`, `is not known`. */
  readonly found: string;
  /** What is allowed: `it must be …`, `did you mean …?` */
  readonly allowed: string;
}

/** A value that was read, or everything that is wrong with it. */
export type Parsed<T> = { readonly value: T } | { readonly objections: readonly Objection[] };

/** The value is not what is allowed. */
export function refused(
  given: unknown,
  allowed: string,
): {
  readonly objections: readonly Objection[];
} {
  return { objections: [{ at: '', found: `is ${shown(given)}`, allowed: `it must be ${allowed}` }] };
}

const longest = 80;

/**
 * A value as a message shows it: short, without control characters, and without what may be a user and a password that
 * were written in the wrong place: all before the last @, be it a URL or not.
 */
export function shown(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return quoted(value.replace(/^([a-z][a-z\d+.-]*:\/\/)?[^]*@/i, '$1***@'));
    case 'number':
    case 'boolean':
      return String(value);
    case 'object':
      if (value === null) return 'null';
      // What is in it may be meant for another place.
      return Array.isArray(value) ? 'a list' : 'an object';
    default:
      return `a ${typeof value}`;
  }
}

/** The message of somebody else's error, without the users and passwords of the URLs in it. */
export function shownMessage(text: string): string {
  return quoted(text.replaceAll(/:\/\/\S*@/g, '://***@'));
}

function quoted(text: string): string {
  return JSON.stringify(text.length > longest ? `${text.slice(0, longest)}…` : text);
}
