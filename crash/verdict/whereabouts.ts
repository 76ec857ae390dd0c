import type pg from 'pg';

/** How far a lost event got, by the product's own tables: no part of the verdict, but where to look. */
export async function whereabouts(
  database: pg.Pool,
  eventIds: readonly string[],
): Promise<Map<string, string>> {
  const { rows } = await database.query<Traces>(
    `select l.event_id as "eventId", o.seq::text, o.tx_id::text as "txId", o.recorded_at::text as "recordedAt",
            i.processed_at::text as "fannedOutAt", d.state, d.attempts, x.reason_code as "deadOf",
            (select count(*)::int from event_runtime.webhook_attempt a
              where a.event_id = l.event_id and a.outcome = 'delivered') as delivered
       from unnest($1::uuid[]) as l (event_id)
       left join event_runtime.outbox o on o.event_id = l.event_id
       left join event_runtime.consumer_idempotency i on i.event_id = l.event_id
       left join event_runtime.webhook_delivery d on d.event_id = l.event_id
       left join event_runtime.dead_letter x on x.event_id = l.event_id`,
    [eventIds],
  );
  return new Map(rows.map((row) => [row.eventId, sentence(row)]));
}

interface Traces {
  readonly eventId: string;
  readonly seq: string | null;
  readonly txId: string | null;
  readonly recordedAt: string | null;
  readonly fannedOutAt: string | null;
  readonly state: string | null;
  readonly attempts: number | null;
  readonly deadOf: string | null;
  readonly delivered: number;
}

function sentence(traces: Traces): string {
  if (traces.seq === null) return 'not in the outbox';
  const parts = [`in the outbox as seq ${traces.seq} of transaction ${traces.txId} at ${traces.recordedAt}`];
  parts.push(traces.fannedOutAt === null ? 'never fanned out' : `fanned out at ${traces.fannedOutAt}`);
  if (traces.state !== null) parts.push(`its delivery is ${traces.state} after ${traces.attempts} attempts`);
  if (traces.deadOf !== null) parts.push(`a dead letter of ${traces.deadOf}`);
  if (traces.delivered > 0) parts.push('delivered, by its attempts');
  return parts.join(', ');
}
