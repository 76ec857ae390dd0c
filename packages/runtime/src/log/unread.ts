import type { ClientBase, Pool, QueryResult } from 'pg';
import type { Checkpoint } from './checkpoint.ts';
import { outboxRows, rowsOfTransactions, type Shard, type Stretch, withSettings } from './table-page.ts';
import { millisecondsOf } from './table-row.ts';
import { boundsOf } from './tick.ts';

type Queryable = Pick<ClientBase | Pool, 'query'>;

/** What of a checkpoint says which events are still to be read. */
export type ReadState = Pick<Checkpoint, 'snapshot' | 'batch' | 'floorSeq' | 'adoption'>;

export interface UnreadOptions {
  readonly state: ReadState;
  readonly shard: Shard | undefined;
}

/** An event that is still to be read. */
export interface UnreadEvent {
  readonly seq: bigint;
  /** Milliseconds since 1970 with a fraction, by the database's clock. */
  readonly recordedAt: number;
}

/**
 * How many committed events are still to be read.
 *
 * @param options.before count those only that were recorded before
 * @param options.atMost count no further than this: the answer is then this number, and there may be more
 */
export async function countUnread(
  client: Queryable,
  options: UnreadOptions & { readonly before: Date | undefined; readonly atMost?: number },
): Promise<number> {
  const parts = await unreadRows(client, options);
  const { atMost } = options;
  const counted =
    atMost === undefined
      ? `select ${parts.map((rows) => `(select count(*) from ${rows})`).join(' + ')} as unread`
      : `select count(*) as unread from (
           select 1 from (${parts.map((rows) => `(select 1 from ${rows} limit ${atMost})`).join(' union all ')}) p
            limit ${atMost}) u`;
  const last = await lastResult(client, counted);
  return Number(last.rows[0]?.['unread'] ?? 0);
}

/** The one with the lowest `seq`; undefined: everything is read. */
export async function oldestUnread(
  client: Queryable,
  options: UnreadOptions,
): Promise<UnreadEvent | undefined> {
  const parts = await unreadRows(client, { ...options, before: undefined });
  const firsts = parts.map((rows) => `(select o.seq, o.recorded_at from ${rows} order by o.seq limit 1)`);
  const last = await lastResult(
    client,
    `select f.seq::text, f.recorded_at::text from (${firsts.join(' union all ')}) f order by f.seq limit 1`,
  );
  const row = last.rows[0];
  if (row === undefined) return undefined;
  return { seq: BigInt(row['seq'] as string), recordedAt: millisecondsOf(row['recorded_at'] as string) };
}

/** Disjoint sets of rows, each as what stands behind FROM. */
async function unreadRows(
  client: Queryable,
  { state, shard, before }: UnreadOptions & { readonly before: Date | undefined },
): Promise<string[]> {
  const { snapshot, batch, floorSeq, adoption } = state;
  const { unseen, later } = await boundsOf(client, snapshot);
  const stretch = (bound: { readonly after: bigint; readonly since: string | null }): Stretch => ({
    ...bound,
    upTo: null,
    before: before?.toISOString() ?? null,
  });
  const above = (seq: bigint): bigint => (seq > floorSeq ? seq : floorSeq);
  const read =
    batch === null
      ? 'true'
      : `not (o.seq <= ${batch.afterSeq} and pg_visible_in_snapshot(o.tx_id, '${batch.to.toString()}'))`;
  const parts = [
    outboxRows(stretch({ after: above(later.seq), since: later.since }), {
      shard,
      where: `${read} and not pg_visible_in_snapshot(o.tx_id, '${snapshot.toString()}')`,
    }),
  ];
  if (snapshot.open.size > 0 && later.seq > above(unseen.seq)) {
    const early = stretch({ after: above(unseen.seq), since: unseen.since });
    parts.push(
      rowsOfTransactions({ ...early, upTo: later.seq, txIds: [...snapshot.open] }, { shard, where: read }),
    );
  }
  if (adoption !== null) {
    const where = `(not pg_visible_in_snapshot(o.tx_id, '${adoption.snapshot.toString()}') or o.recorded_at > '${adoption.since}')`;
    parts.push(
      outboxRows({ ...stretch({ after: adoption.afterSeq, since: null }), upTo: floorSeq }, { shard, where }),
    );
  }
  return parts;
}

async function lastResult(
  client: Queryable,
  statement: string,
): Promise<QueryResult<Record<string, unknown>>> {
  const results = (await client.query(withSettings(statement))) as unknown as readonly QueryResult[];
  return results.at(-1) as QueryResult;
}
