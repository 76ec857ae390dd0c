import type { ClientBase } from 'pg';
import { type Partition, quote, toBound } from '../../schema/partition-catalog.ts';

/** Why a partition of the outbox must stay. */
export type Hold =
  | { readonly reason: 'open-transaction' }
  | { readonly reason: 'unread'; readonly sinks: readonly string[] }
  | { readonly reason: 'deliveries'; readonly deliveries: number };

type Stretch = Pick<Partition, 'name' | 'from' | 'to'>;

/**
 * What keeps a partition: a transaction that has written to it and is still open, a sink of any relay that has not
 * read all of it, or deliveries whose payload is in it. Undefined: nothing does. As the owner of the schema.
 */
export async function holdOf(client: ClientBase, partition: Stretch): Promise<Hold | undefined> {
  // Before the next question, which is asked of a later snapshot: whoever wrote is done, and seen by it.
  if (await hasWriter(client, partition.name)) return { reason: 'open-transaction' };
  const sinks = await readersBehind(client, partition.name);
  if (sinks.length > 0) return { reason: 'unread', sinks };
  const deliveries = await pendingDeliveries(client, partition);
  return deliveries > 0 ? { reason: 'deliveries', deliveries } : undefined;
}

/** How many deliveries need the payload of an event in there. */
export async function pendingDeliveries(client: ClientBase, { from, to }: Stretch): Promise<number> {
  const { rows } = await client.query<{ pending: number }>(
    `select count(*)::int as pending from event_runtime.webhook_delivery d
      where d.event_recorded_at >= $1 and d.event_recorded_at < $2`,
    [toBound(from), toBound(to)],
  );
  return rows[0]?.pending ?? 0;
}

/** Prepared transactions count, too: they keep their locks. */
async function hasWriter(client: ClientBase, name: string): Promise<boolean> {
  const { rows } = await client.query<{ written: boolean }>(
    `select exists (select from pg_locks l
       where l.locktype = 'relation' and l.relation = $1::regclass and l.mode = 'RowExclusiveLock' and l.granted
         and l.database = (select d.oid from pg_database d where d.datname = current_database())) as written`,
    [`event_runtime.${quote(name)}`],
  );
  return rows[0]?.written === true;
}

async function readersBehind(client: ClientBase, name: string): Promise<string[]> {
  const { rows } = await client.query<{ sink: string }>(
    `select (r.reader).relay || '/' || (r.reader).sink
            || case when r.shards = 1 then '' else '#' || (r.reader).shard end as sink
       from event_runtime.outbox_readers() r
      where event_runtime.outbox_unread($1, r.reader, r.shards, 1) > 0
      order by 1`,
    [name],
  );
  return rows.map((row) => row.sink);
}
