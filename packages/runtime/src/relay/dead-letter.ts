import type { Pool } from 'pg';
import type { LoggedEvent } from '../log/outbox-event.ts';

/** Keeps an event that a sink refused for good: payload, headers and the reason. */
export async function keepDeadLetter(
  pool: Pool,
  letter: {
    readonly sink: string;
    readonly logged: LoggedEvent;
    readonly reasonCode: string;
    readonly reason: string;
  },
): Promise<void> {
  const { event } = letter.logged;
  await pool.query(
    `insert into event_runtime.dead_letter
       (tenant_id, ecosystem, sink, event_id, event_recorded_at, seq, entity_key, event_type,
        reason_code, reason, attempts, payload, headers)
     select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11, $12
     where not exists (select from event_runtime.dead_letter where event_id = $4 and sink = $3)`,
    [
      event.tenantId,
      event.ecosystem,
      letter.sink,
      event.eventId,
      event.recordedAt,
      event.seq.toString(),
      event.entityKey,
      event.eventType,
      letter.reasonCode,
      storable(letter.reason),
      event.payload.toString('utf8'),
      event.headers,
    ],
  );
}

/** Whoever refused the event wrote it: PostgreSQL stores no U+0000, and nobody reads more than this. */
function storable(reason: string): string {
  return Buffer.from(reason.replaceAll('\u0000', '\ufffd').slice(0, 2_000)).toString();
}
