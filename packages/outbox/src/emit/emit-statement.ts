import type { Row, Statement } from '../adapters/transaction-adapter.ts';
import { arrayLiteral } from './array-literal.ts';
import type { CheckedOptions } from './checked-options.ts';
import type { EmitResult } from './emit-options.ts';

/** One event as `event_runtime.emit` takes it: texts. */
export interface EmitRow extends CheckedOptions {
  readonly eventType: string;
  /** JSON text as `JSON.stringify` writes it. */
  readonly payload: string;
  readonly entityKey: string | null;
  readonly eventVersion: string;
  readonly source: string;
}

/*
 * Every parameter is a text: where the function takes another type, a cast says so. Without it a driver that
 * asks the server for parameter types would encode by them: JSON text would be encoded as JSON once more. The
 * answer is one text too, so that no driver's type parsing has a say; and as a value in the list of columns
 * `emit` costs less than as a table.
 */

/** In the order of the arguments. */
const columns = [
  'eventType',
  'payload',
  'tenant',
  'entityKey',
  'ecosystem',
  'eventVersion',
  'idempotencyKey',
  'correlationId',
  'causationId',
  'source',
  'traceparent',
  'headers',
] as const satisfies ReadonlyArray<keyof EmitRow>;

/** Of the columns that are no texts to the function. */
const casts: Partial<Record<keyof EmitRow, string>> = {
  payload: '::text::json',
  eventVersion: '::text::int',
  headers: '::text::json',
};

/**
 * The statement that writes one event. What the event has none of stands in it as `null`: the server reads
 * no parameter for it.
 */
export function emitStatement(row: EmitRow, lockEntity: boolean): Statement {
  const values: string[] = [];
  const given = columns.map((column) => {
    const text = row[column];
    return text === null ? 'null' : `$${values.push(text)}${casts[column] ?? ''}`;
  });
  return { text: `select event_runtime.emit(${given.join(', ')}, ${lockEntity})::text as event`, values };
}

// Payloads come in one text, apart by U+001E: JSON text never has that character as it is, so nothing is escaped.
const separator = '\u001e';
// In an array an empty text stands for null: no argument may be empty, and every session reads it alike.
const texts = (place: number): string => `pg_catalog.array_replace($${place}::text::text[], '', null)`;
const emitManyText = `select event::text as event
from event_runtime.emit_many($1::text::text[], string_to_array($2, E'\\x1e')::json[], ${texts(3)},
  ${texts(4)}, ${texts(5)}, $6::text::int[], ${texts(7)}, ${texts(8)}, ${texts(9)},
  ${texts(10)}, ${texts(11)}, ${texts(12)}::json[], $13::text::boolean) as event`;

/** The statement that writes many events, answering one row for each, in their order. */
export function emitManyStatement(rows: readonly EmitRow[], lockEntity: boolean): Statement {
  const values = columns.map((column) => {
    const given = rows.map((row) => row[column]);
    if (column === 'payload') return given.join(separator);
    return column === 'eventType' ? literal(given) : compact(given);
  });
  return { text: emitManyText, values: [...values, String(lockEntity)] };
}

/** What `emit_many` reads as "the same for all": null for all null, one element for all equal. */
function compact(given: ReadonlyArray<string | null>): string | null {
  const [first = null] = given;
  if (given.some((text) => text !== first)) return literal(given);
  return first === null ? null : literal([first]);
}

function literal(given: ReadonlyArray<string | null>): string {
  return arrayLiteral(given.map((text) => text ?? ''));
}

/**
 * Reads one row of an answer: `(id,f)`, from many events `(ordinal,id,f)`.
 *
 * @throws TypeError for anything else, which a library would have made of it
 */
export function toResult(row: Row): EmitResult {
  const [, eventId, duplicate] = /^\((?:\d+,)?([0-9a-f-]{36}),([tf])\)$/.exec(String(row['event'])) ?? [];
  if (eventId === undefined) throw new TypeError('the answer of emit is not in the form of the database');
  return { eventId, duplicate: duplicate === 't' };
}
