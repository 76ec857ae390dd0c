import { runtimeError } from '../errors/codes.ts';
import type { RelationMessage } from '../replication/pgoutput/messages.ts';
import type { Tuple } from '../replication/pgoutput/tuple.ts';
import type { OutboxEvent } from './outbox-event.ts';

/** The columns of `event_runtime.outbox` that the log is read by. */
const columns = [
  'event_id',
  'tx_id',
  'seq',
  'tenant_id',
  'ecosystem',
  'event_type',
  'event_version',
  'entity_key',
  'idempotency_key',
  'correlation_id',
  'causation_id',
  'source_service',
  'traceparent',
  'headers',
  'payload',
  'recorded_at',
] as const;

type Column = (typeof columns)[number];

/** Where each column stands. */
type Places = Readonly<Record<Column, number>>;

/** Where each column stands in this version of the table, by the Relation message that rows refer to. */
const places = new WeakMap<RelationMessage, Places>();

/** Whether rows of this relation are events. */
export function isOutbox(relation: RelationMessage): boolean {
  return relation.schema === 'event_runtime' && relation.name === 'outbox';
}

/**
 * Reads an outbox row from the stream. The payload's bytes are those of the stream, not decoded.
 *
 * @throws ER3005 a column is missing, or holds null where the table forbids it
 */
export function readOutboxRow(relation: RelationMessage, row: Tuple): OutboxEvent {
  const at = placesOf(relation);
  return {
    eventId: required(row, { name: 'event_id', at }),
    seq: BigInt(required(row, { name: 'seq', at })),
    tenantId: required(row, { name: 'tenant_id', at }),
    ecosystem: row.text(at.ecosystem) ?? null,
    eventType: required(row, { name: 'event_type', at }),
    eventVersion: Number(required(row, { name: 'event_version', at })),
    entityKey: row.text(at.entity_key) ?? null,
    idempotencyKey: row.text(at.idempotency_key) ?? null,
    correlationId: row.text(at.correlation_id) ?? null,
    causationId: row.text(at.causation_id) ?? null,
    sourceService: row.text(at.source_service) ?? null,
    traceparent: row.text(at.traceparent) ?? null,
    headers: row.text(at.headers) ?? null,
    payload: payloadOf(row, at.payload),
    recordedAt: required(row, { name: 'recorded_at', at }),
  };
}

/** The producing transaction, from row to row: those of one transaction share it, and it is parsed once. */
export class TransactionId {
  #bytes: Buffer = Buffer.alloc(0);
  #value = 0n;

  /** @throws ER3005 as {@link readOutboxRow} */
  of(relation: RelationMessage, row: Tuple): bigint {
    const bytes = row.bytes(placesOf(relation).tx_id);
    if (bytes === null || bytes === undefined) throw noValue('tx_id');
    if (!bytes.equals(this.#bytes)) {
      this.#value = BigInt(bytes.toString('latin1'));
      // A copy: the row's own bytes would keep all that came with it.
      this.#bytes = Buffer.from(bytes);
    }
    return this.#value;
  }
}

function placesOf(relation: RelationMessage): Places {
  let at = places.get(relation);
  if (at === undefined) {
    at = placesIn(relation);
    places.set(relation, at);
  }
  return at;
}

function placesIn(relation: RelationMessage): Places {
  const found = new Map(relation.columns.map((column, index) => [column.name, index]));
  const missing = columns.filter((column) => !found.has(column));
  if (missing.length > 0) throw runtimeError('ER3005', { detail: `Missing: ${missing.join(', ')}.` });
  return Object.fromEntries(found) as Places;
}

function required(row: Tuple, column: { readonly name: Column; readonly at: Places }): string {
  const text = row.text(column.at[column.name]);
  if (text === null || text === undefined) throw noValue(column.name);
  return text;
}

function payloadOf(row: Tuple, column: number): Buffer {
  const bytes = row.bytes(column);
  if (bytes === null || bytes === undefined) throw noValue('payload');
  return bytes;
}

function noValue(column: Column): Error {
  return runtimeError('ER3005', { detail: `Column ${column} holds no value.` });
}
