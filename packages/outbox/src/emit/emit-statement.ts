import type { Statement } from '../adapters/transaction-adapter.ts';
import { arrayLiteral } from './array-literal.ts';

/** One event as `event_runtime.emit` takes it: texts, in the order of its arguments. */
export interface EmitRow {
  readonly eventType: string;
  readonly payload: string;
  readonly tenant: string | null;
  readonly entityKey: string | null;
  readonly ecosystem: string | null;
  readonly eventVersion: string;
  readonly idempotencyKey: string | null;
  readonly correlationId: string | null;
  readonly causationId: string | null;
  readonly source: string;
  readonly traceparent: string | null;
  readonly headers: string | null;
}

/*
 * Every parameter is declared text and cast in SQL. Without it a driver that asks the server for
 * parameter types would encode by them: JSON text would be encoded as JSON once more, 'true' as false.
 * The results are texts too, so that no driver's type parsing has a say.
 */
const emitText = `select event_id::text as event_id, duplicate::text as duplicate
from event_runtime.emit($1::text, $2::text::json, $3::text, $4::text, $5::text, $6::text::int, $7::text,
  $8::text, $9::text, $10::text, $11::text, $12::text::json, $13::text::boolean)`;

const emitManyText = `select event_id::text as event_id, duplicate::text as duplicate
from event_runtime.emit_many($1::text::text[], $2::text::json[], $3::text::text[], $4::text::text[],
  $5::text::text[], $6::text::int[], $7::text::text[], $8::text::text[], $9::text::text[], $10::text::text[],
  $11::text::text[], $12::text::json[], $13::text::boolean)
order by ordinal`;

/** The statement that writes one event. */
export function emitStatement(row: EmitRow, lockEntity: boolean): Statement {
  return { text: emitText, values: [...argumentsOf(row), String(lockEntity)] };
}

/** The statement that writes many events, answering one row for each, in their order. */
export function emitManyStatement(rows: readonly EmitRow[], lockEntity: boolean): Statement {
  const table = rows.map(argumentsOf);
  const required = 2;
  const columns = (table[0] ?? []).map((_, column) => {
    const values = table.map((row) => row[column] ?? null);
    return column < required ? arrayLiteral(values) : compact(values);
  });
  return { text: emitManyText, values: [...columns, String(lockEntity)] };
}

function argumentsOf(row: EmitRow): Array<string | null> {
  return [
    row.eventType,
    row.payload,
    row.tenant,
    row.entityKey,
    row.ecosystem,
    row.eventVersion,
    row.idempotencyKey,
    row.correlationId,
    row.causationId,
    row.source,
    row.traceparent,
    row.headers,
  ];
}

/** What `emit_many` reads as "the same for all": null for all null, one element for all equal. */
function compact(values: ReadonlyArray<string | null>): string | null {
  const [first = null] = values;
  if (values.some((value) => value !== first)) return arrayLiteral(values);
  return first === null ? null : arrayLiteral([first]);
}
