import type pg from 'pg';
import type { Difference } from './verdict.ts';

/**
 * How far a lost event got, by the product's own tables: no part of the verdict, but where to look.
 *
 * @returns a sentence for each difference, in their order
 */
export async function whereabouts(database: pg.Pool, lost: readonly Difference[]): Promise<string[]> {
  const { rows } = await database.query<Traces>(
    `select o.seq::text, o.tx_id::text as "txId", o.recorded_at::text as "recordedAt",
            i.processed_at::text as "fannedOutAt", d.state, d.attempts, x.reason_code as "deadOf",
            (select count(*)::int from event_runtime.webhook_attempt a
              where a.event_id = l.event_id and a.outcome = 'delivered') as delivered,
            c.mode, c.lsn::text, c.snapshot::text, c.batch_snapshot::text as "batch", c.updated_at::text as "savedAt",
            pg_visible_in_snapshot(o.tx_id, c.snapshot) as seen
       from unnest($1::uuid[], $2::text[]) with ordinality as l (event_id, sink, at)
       left join event_runtime.outbox o on o.event_id = l.event_id
       left join event_runtime.consumer_idempotency i on i.event_id = l.event_id
       left join event_runtime.webhook_delivery d on d.event_id = l.event_id
       left join event_runtime.dead_letter x on x.event_id = l.event_id
       left join event_runtime.relay_checkpoint c on c.sink = l.sink
      order by l.at`,
    [lost.map(({ eventId }) => eventId), lost.map(({ sink }) => sink)],
  );
  return rows.map((row) => sentence(row));
}

interface Traces {
  readonly seq: string | null;
  readonly txId: string | null;
  readonly recordedAt: string | null;
  readonly fannedOutAt: string | null;
  readonly state: string | null;
  readonly attempts: number | null;
  readonly deadOf: string | null;
  readonly delivered: number;
  /** Of the sink's checkpoint; null: it has none. */
  readonly mode: string | null;
  readonly lsn: string;
  readonly snapshot: string;
  readonly batch: string | null;
  readonly savedAt: string;
  /** Whether the checkpoint says that it is delivered. */
  readonly seen: boolean;
}

function sentence(traces: Traces): string {
  if (traces.seq === null) return 'not in the outbox';
  const parts = [`in the outbox as seq ${traces.seq} of transaction ${traces.txId} at ${traces.recordedAt}`];
  parts.push(traces.fannedOutAt === null ? 'never fanned out' : `fanned out at ${traces.fannedOutAt}`);
  if (traces.state !== null) parts.push(`its delivery is ${traces.state} after ${traces.attempts} attempts`);
  if (traces.deadOf !== null) parts.push(`a dead letter of ${traces.deadOf}`);
  if (traces.delivered > 0) parts.push('delivered, by its attempts');
  if (traces.mode !== null) {
    const batch = traces.batch === null ? '' : `, of a batch up to ${traces.batch}`;
    const where = `${traces.mode} at ${traces.lsn}, snapshot ${traces.snapshot}${batch}, written at ${traces.savedAt}`;
    parts.push(`which its sink's checkpoint ${traces.seen ? 'sees' : 'does not see'} (${where})`);
  }
  return parts.join(', ');
}
