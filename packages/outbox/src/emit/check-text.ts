import { producerError } from '../errors/codes.ts';

/** What the schema takes of one text. */
export interface TextLimit {
  /** In characters, as PostgreSQL's `length` counts them. */
  readonly longest: number;
  /** In bytes of UTF-8, for what stands in an index. */
  readonly bytes?: number;
}

/** The arguments that are texts of the caller's. */
export type LimitedText =
  | 'tenant'
  | 'ecosystem'
  | 'entityKey'
  | 'idempotencyKey'
  | 'correlationId'
  | 'causationId';

/** The limits of the schema, by argument. */
export const limits: Readonly<Record<LimitedText, TextLimit>> = {
  tenant: { longest: 200 },
  ecosystem: { longest: 100 },
  entityKey: { longest: 1000, bytes: 2000 },
  idempotencyKey: { longest: 500, bytes: 1500 },
  correlationId: { longest: 200 },
  causationId: { longest: 200 },
};

/**
 * Checks a text argument before anything is sent: a statement that fails in the database would end the
 * caller's transaction.
 *
 * @param name how the message names it; the value itself is never printed
 * @throws ER2008 for what is no string, empty, too long, or cannot be stored in PostgreSQL as it is
 */
export function checkText(name: string, value: unknown, limit: TextLimit): string {
  if (typeof value !== 'string')
    throw invalid(name, `is ${value === null ? 'null' : typeof value}, not text`);
  if (value === '') throw invalid(name, 'is empty');
  // PostgreSQL has no U+0000 in text, and UTF-8 no lone surrogate: drivers would send U+FFFD instead.
  if (value.includes('\0')) throw invalid(name, 'contains U+0000');
  if (/\p{Surrogate}/u.test(value)) throw invalid(name, 'contains half a surrogate pair');
  if (value.length > limit.longest && characters(value) > limit.longest) {
    throw invalid(name, `is longer than ${limit.longest} characters`);
  }
  if (limit.bytes !== undefined && Buffer.byteLength(value) > limit.bytes) {
    throw invalid(name, `is longer than ${limit.bytes} bytes`);
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
