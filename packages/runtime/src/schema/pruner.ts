import type { ClientBase } from 'pg';
import { healCoverage } from './coverage.ts';
import { detachPartition } from './detachment.ts';
import {
  type DayPartitionedTable,
  isEmpty,
  listPartitions,
  type Partition,
  quote,
  startOfDay,
  toBound,
} from './partition-catalog.ts';
import { type UpkeepOptions, type UpkeepSession, withUpkeepSession } from './upkeep-session.ts';

/** Protects rows that somebody has yet to read. Both are called as the owner of the schema, on the pruner's client. */
export interface PruneGuard {
  /** Asked for each partition that holds rows, oldest first, before it is taken out. True keeps it and all after it. */
  keep(partition: Pick<Partition, 'name' | 'from' | 'to'>): Promise<boolean>;
  /**
   * Asked again once it is taken out, when nobody can write to it any more, in the transaction that drops it. It may
   * hold rows that `keep` has not seen, or was not asked about. False: it is taken back, and all after it stays.
   */
  release(name: string): Promise<boolean>;
}

export interface PrunePartitionsOptions extends UpkeepOptions {
  readonly table: DayPartitionedTable;
  /** Partitions that end at or before this time go. Never in the future. */
  readonly before: Date;
  /** Without it nothing protects what a sink or consumer has yet to read. */
  readonly guard?: PruneGuard | undefined;
}

export interface PruneReport {
  /** Names of the partitions that were dropped, oldest first. `_underflow` is there again, and not named. */
  readonly dropped: readonly string[];
  /** The partition at which the guard said stop. */
  readonly kept: string | undefined;
}

/**
 * Drops the oldest partitions: detached concurrently first, so that no INSERT waits.
 * Interrupted in the middle, it leaves a state that its next run, or `ensurePartitions`, heals.
 *
 * While it works, rows older than the oldest partition (a clock set back by the whole retention) find no
 * partition; `_underflow` is there again when it is done.
 *
 * @param client a direct connection of its own, outside a transaction; its role may SET ROLE to the owner
 * @throws ER1105 a lock was not to be had; retryable. RangeError: `before` is in the future
 */
export async function prunePartitions(
  client: ClientBase,
  options: PrunePartitionsOptions,
): Promise<PruneReport> {
  if (options.before.getTime() > Date.now()) throw new RangeError('before must not be in the future');
  return await withUpkeepSession(
    client,
    async (session) => {
      const today = startOfDay(Date.now());
      await healCoverage(session, { table: options.table, today });
      const report = await dropExpired(session, options);
      // What could not be dropped after all is attached again.
      await healCoverage(session, { table: options.table, today });
      return report;
    },
    options,
  );
}

async function dropExpired(session: UpkeepSession, options: PrunePartitionsOptions): Promise<PruneReport> {
  const { table, before, guard } = options;
  const dropped: string[] = [];
  let kept: string | undefined;
  for (const partition of await listPartitions(session.client, table)) {
    const { name, from, to } = partition;
    if (to > before.getTime()) break;
    const empty = await isEmpty(session.client, name);
    const underflow = from === Number.NEGATIVE_INFINITY;
    // An empty underflow alone is what a pruned table looks like.
    if (underflow && empty) continue;
    if (!empty && (await guard?.keep(partition)) === true) {
      kept = name;
      break;
    }
    // It is attached again, and what was dropped before it is covered, when coverage is healed.
    if (!(await takeOut(session, { table, name, guard }))) return { dropped, kept: name };
    if (!underflow) dropped.push(name);
  }
  if (dropped.length === 0) return { dropped, kept };
  // It covers again up to the day that is now the first; a row may have come to it meanwhile.
  const underflow = `${table}_underflow`;
  return (await takeOut(session, { table, name: underflow, guard }))
    ? { dropped, kept }
    : { dropped, kept: underflow };
}

interface TakeOut {
  readonly table: DayPartitionedTable;
  readonly name: string;
  readonly guard: PruneGuard | undefined;
}

/** Detaches a partition and drops it, if it may go; the underflow is made anew. @returns whether it is gone */
async function takeOut(session: UpkeepSession, { table, name, guard }: TakeOut): Promise<boolean> {
  const { client } = session;
  await detachPartition(session, { table, name });
  // failpoint: prune.detached
  return await session.retrying(`Partition ${name} could not be dropped.`, () =>
    session.transaction(async () => {
      const free = guard === undefined || !(await exists(session, name)) || (await isEmpty(client, name));
      if (!free && !(await guard.release(name))) return false;
      await client.query(`drop table if exists event_runtime.${quote(name)}`);
      const first = (await listPartitions(client, table))[0];
      if (name === `${table}_underflow` && first !== undefined) {
        await client.query("select event_runtime.partition_create($1, '-infinity', $2::timestamptz)", [
          table,
          toBound(first.from),
        ]);
      }
      return true;
    }),
  );
}

async function exists({ client }: UpkeepSession, name: string): Promise<boolean> {
  const { rows } = await client.query<{ there: boolean }>('select to_regclass($1) is not null as there', [
    `event_runtime.${quote(name)}`,
  ]);
  return rows[0]?.there === true;
}

export interface PruneKeysOptions extends UpkeepOptions {
  /** Idempotency keys claimed before this time are forgotten. 30 days ago is the documented default. */
  readonly before: Date;
  /** Rows for each DELETE. Default 1000. */
  readonly batchSize?: number | undefined;
}

/**
 * Forgets expired idempotency keys, in small transactions. A key that an open transaction holds is left
 * for the next time. @returns how many were deleted
 */
export async function pruneKeys(client: ClientBase, options: PruneKeysOptions): Promise<number> {
  const batchSize = options.batchSize ?? 1000;
  return await withUpkeepSession(
    client,
    async () => {
      for (let deleted = 0; ; ) {
        options.signal?.throwIfAborted();
        const { rowCount } = await client.query(
          `delete from event_runtime.outbox_key k
            using (select tenant_id, idempotency_key
                     from event_runtime.outbox_key
                    where claimed_at < $1
                    order by claimed_at
                    limit $2
                      for update skip locked) expired
            where k.tenant_id = expired.tenant_id and k.idempotency_key = expired.idempotency_key`,
          [options.before, batchSize],
        );
        deleted += rowCount ?? 0;
        if ((rowCount ?? 0) < batchSize) return deleted;
      }
    },
    options,
  );
}
