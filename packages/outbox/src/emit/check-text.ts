import { producerError } from '../errors/codes.ts';

/** The longest texts that the schema takes, in characters as PostgreSQL's `length` counts them. */
export const longest = {
  tenant: 200,
  ecosystem: 100,
  entityKey: 1000,
  idempotencyKey: 500,
  correlationId: 200,
  causationId: 200,
} as const;

/**
 * Checks a text argument before anything is sent: a statement that fails in the database would end the
 * caller's transaction.
 *
 * @param name how the message names it; the value itself is never printed
 * @throws ER2008 for what is no string, empty, too long, or cannot be stored in PostgreSQL as it is
 */
export function checkText(name: string, value: unknown, limit: { readonly longest: number }): string {
  if (typeof value !== 'string')
    throw invalid(name, `is ${value === null ? 'null' : typeof value}, not text`);
  if (value === '') throw invalid(name, 'is empty');
  // PostgreSQL has no U+0000 in text, and UTF-8 no lone surrogate: drivers would send U+FFFD instead.
  if (value.includes('\0')) throw invalid(name, 'contains U+0000');
  if (/\p{Surrogate}/u.test(value)) throw invalid(name, 'contains half a surrogate pair');
  if (value.length > limit.longest && characters(value) > limit.longest) {
    throw invalid(name, `is longer than ${limit.longest} characters`);
  }
  return value;
}

/** A surrogate pair is one. */
function characters(text: string): number {
  return text.replaceAll(/[\ud800-\udbff][\udc00-\udfff]/g, '.').length;
}

function invalid(name: string, what: string): Error {
  return producerError('ER2008', { detail: `${name} ${what}.` });
}
