import { type Lsn, zeroLsn } from '../replication/lsn.ts';

/**
 * Where an event stands in the write-ahead log: its transaction's commit record (the LSN that pgoutput's
 * Begin announces), and its ordinal within that transaction. Never a bare LSN: the rows of one COPY share one.
 */
export interface Position {
  readonly lsn: Lsn;
  /** 0 for the first event of the transaction. */
  readonly ordinal: number;
}

/** Before every event. */
export const beginning: Position = { lsn: zeroLsn, ordinal: -1 };

/** Orders positions as the log does. */
export function comparePositions(a: Position, b: Position): number {
  if (a.lsn !== b.lsn) return a.lsn < b.lsn ? -1 : 1;
  return a.ordinal - b.ordinal;
}

/** One committed row of `event_runtime.outbox`. */
export interface OutboxEvent {
  /** UUIDv7; the dedupe key everywhere. */
  readonly eventId: string;
  /** Grows within an entity in commit order; what consumers may compare. */
  readonly seq: bigint;
  readonly tenantId: string;
  readonly ecosystem: string | null;
  readonly eventType: string;
  readonly eventVersion: number;
  /** What order is kept by, within the tenant. Null: no order is asked for. */
  readonly entityKey: string | null;
  readonly idempotencyKey: string | null;
  readonly correlationId: string | null;
  readonly causationId: string | null;
  readonly sourceService: string | null;
  readonly traceparent: string | null;
  /** A flat JSON object of strings, as text; the producer's own headers. */
  readonly headers: string | null;
  /** The payload byte for byte as emitted: JSON in UTF-8. */
  readonly payload: Buffer;
  /** PostgreSQL's text of the time the row was written (microseconds, UTC): `2026-11-20 10:00:00.123456+00`. */
  readonly recordedAt: string;
  /** The replay by which it is handed over once more: a UUID. Undefined: it is handed over as it happened. */
  readonly replay?: string;
}

/** What order is kept by: the tenant and its entity key as one text. Undefined: no order is asked for. */
export function entityOf(event: Pick<OutboxEvent, 'tenantId' | 'entityKey'>): string | undefined {
  // PostgreSQL stores no U+0000 in text, so that two pairs never make the same text.
  return event.entityKey === null ? undefined : `${event.tenantId}\u0000${event.entityKey}`;
}

/** An event with what the log knows of its commit. */
export interface LoggedEvent {
  readonly event: OutboxEvent;
  /** The producing transaction, `xid8`. */
  readonly txId: bigint;
  /** Null for an event that was read from the table, which knows no order of commits. */
  readonly position: Position | null;
  /** Milliseconds since 1970 with a fraction, by the database's clock; from the table, when the row was written. */
  readonly committedAt: number;
  /** Milliseconds since 1970 with a fraction, by our clock, when the event was read. */
  readonly capturedAt: number;
}
