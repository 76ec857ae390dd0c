import type { Pool } from 'pg';
import type { LoggedEvent } from '../../log/outbox-event.ts';

/**
 * Keeps an event that a sink refused for good: all of it, and the reason. One that is being redriven dies again, with
 * its history; of one that was handed over again after a crash there is a letter already.
 *
 * There is one letter of each event and sink. That of the event as it happened stays so when a replay brings the event
 * once more: what is owed is the event itself, without a mark. A letter of a replay becomes that of whoever is refused
 * later: of another replay, or of the event as it happened.
 */
export async function keepDeadLetter(
  pool: Pool,
  letter: {
    readonly relay: string;
    readonly sink: string;
    readonly logged: LoggedEvent;
    readonly reasonCode: string;
    readonly reason: string;
  },
): Promise<void> {
  const { event } = letter.logged;
  await pool.query(
    `insert into event_runtime.dead_letter as d
       (tenant_id, ecosystem, sink, event_id, event_recorded_at, seq, entity_key, event_type, reason_code, reason,
        attempts, payload, headers, event_version, idempotency_key, correlation_id, causation_id, source_service,
        traceparent, relay, replay_id)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
     on conflict (event_id, sink, relay, endpoint_id) do update
        set state = 'dead', attempts = d.attempts + 1, dead_at = clock_timestamp(),
            reason_code = excluded.reason_code, reason = excluded.reason,
            replay_id = case when d.replay_id is not null then excluded.replay_id end
      where case when d.replay_id is not distinct from excluded.replay_id then d.state = 'redriving'
                 else d.replay_id is not null end`,
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
      event.eventVersion,
      event.idempotencyKey,
      event.correlationId,
      event.causationId,
      event.sourceService,
      event.traceparent,
      letter.relay,
      event.replay ?? null,
    ],
  );
}

/** Whoever refused the event wrote it: PostgreSQL stores no U+0000, and nobody reads more than this. */
export function storable(reason: string): string {
  return Buffer.from(reason.replaceAll('\u0000', '\ufffd').slice(0, 2_000)).toString();
}
