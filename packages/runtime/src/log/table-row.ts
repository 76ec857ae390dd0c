import type { LoggedEvent } from './outbox-event.ts';

/** What is read of a row, in the order of {@link toLoggedEvent}. */
export const rowColumns: readonly string[] = [
  'tx_id',
  'event_id',
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
];

/** The columns of {@link rowColumns} as PostgreSQL's texts, in a session whose time zone is UTC. */
export type TableRow = readonly [
  txId: string,
  eventId: string,
  seq: string,
  tenantId: string,
  ecosystem: string | null,
  eventType: string,
  eventVersion: string,
  entityKey: string | null,
  idempotencyKey: string | null,
  correlationId: string | null,
  causationId: string | null,
  sourceService: string | null,
  traceparent: string | null,
  headers: string | null,
  payload: string,
  recordedAt: string,
  ...unknown[],
];

/** @param capturedAt see {@link LoggedEvent} */
export function toLoggedEvent(row: TableRow, capturedAt: number): LoggedEvent {
  const recordedAt = row[15];
  return {
    event: {
      eventId: row[1],
      seq: BigInt(row[2]),
      tenantId: row[3],
      ecosystem: row[4],
      eventType: row[5],
      eventVersion: Number(row[6]),
      entityKey: row[7],
      idempotencyKey: row[8],
      correlationId: row[9],
      causationId: row[10],
      sourceService: row[11],
      traceparent: row[12],
      headers: row[13],
      // UTF-8 to a string and back: PostgreSQL stores only what survives that.
      payload: Buffer.from(row[14]),
      recordedAt,
    },
    txId: BigInt(row[0]),
    position: null,
    committedAt: millisecondsOf(recordedAt),
    capturedAt,
  };
}

/**
 * Milliseconds since 1970 with a fraction. Rows come by the thousand within a second, and Date.parse is slow: the
 * second is kept.
 *
 * @param text `2026-11-20 10:00:00.123456+00`
 */
export function millisecondsOf(text: string): number {
  const second = text.slice(0, 19);
  if (second !== lastSecond) {
    lastSecondMs = Date.parse(`${second.replace(' ', 'T')}Z`);
    lastSecond = second;
  }
  const fraction = text.slice(19, -3);
  return fraction === '' ? lastSecondMs : lastSecondMs + Number(`0${fraction}`) * 1_000;
}

let lastSecond = '';
let lastSecondMs = 0;
