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

export interface PrunePartitionsOptions extends UpkeepOptions {
  readonly table: DayPartitionedTable;
  /** Partitions that end at or before this time go. Never in the future. */
  readonly before: Date;
  /**
   * The guard: asked for each partition that holds rows, oldest first, before it is taken out. True keeps
   * it and everything after it. Nothing else protects rows that a sink or consumer has yet to read.
   */
  readonly keep?: ((partition: Pick<Partition, 'name' | 'from' | 'to'>) => Promise<boolean>) | undefined;
}

export interface PruneReport {
  /** Names of the partitions that were dropped, oldest first. */
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
      const { expired, kept } = await choose(session, options);
      const dropped: string[] = [];
      for (const { name } of expired) {
        if (name.endsWith('_underflow')) continue;
        await detachPartition(session, { table: options.table, name });
        await drop(session, name);
        dropped.push(name);
      }
      if (expired.length > 0) await widenUnderflow(session, options.table);
      return { dropped, kept };
    },
    options,
  );
}

/** The expired prefix of the partitions, up to where the guard says stop. */
async function choose(
  session: UpkeepSession,
  options: PrunePartitionsOptions,
): Promise<{ readonly expired: readonly Partition[]; readonly kept: string | undefined }> {
  const expired: Partition[] = [];
  for (const partition of await listPartitions(session.client, options.table)) {
    if (partition.to > options.before.getTime()) break;
    const empty = await isEmpty(session.client, partition.name);
    if (!empty && (await options.keep?.(partition)) === true) return { expired, kept: partition.name };
    // An empty underflow alone is what a pruned table looks like.
    if (partition.from !== Number.NEGATIVE_INFINITY || !empty) expired.push(partition);
  }
  return { expired, kept: undefined };
}

/** Drops what lies before the first day, and covers it again up to the day that is now the first. */
async function widenUnderflow(session: UpkeepSession, table: DayPartitionedTable): Promise<void> {
  const { client } = session;
  const name = `${table}_underflow`;
  await detachPartition(session, { table, name });
  await session.retrying(`Partition ${name} could not be replaced.`, () =>
    session.transaction(async () => {
      await client.query(`drop table if exists event_runtime.${quote(name)}`);
      const first = (await listPartitions(client, table))[0];
      if (first === undefined) return;
      await client.query("select event_runtime.partition_create($1, '-infinity', $2::timestamptz)", [
        table,
        toBound(first.from),
      ]);
    }),
  );
}

async function drop(session: UpkeepSession, name: string): Promise<void> {
  await session.retrying(`Partition ${name} could not be dropped.`, () =>
    session.client.query(`drop table if exists event_runtime.${quote(name)}`),
  );
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
