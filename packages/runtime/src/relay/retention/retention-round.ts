import type pg from 'pg';
import { runtimeError } from '../../errors/codes.ts';
import { beginDrop, finishDrop, forgetDrop } from '../../schema/outbox-drop.ts';
import {
  type DayPartitionedTable,
  isEmpty,
  listPartitions,
  type Partition,
} from '../../schema/partition-catalog.ts';
import { prunePartitions } from '../../schema/pruner.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { dropOldReplays } from '../replay/replay-jobs.ts';
import { archivePartition } from './retention-archive.ts';
import { holdOf, pendingDeliveries } from './retention-hold.ts';
import type { RetentionPlan } from './retention-options.ts';
import { thinTicks } from './retention-ticks.ts';

export interface RoundOptions {
  /** A direct connection of its own, outside of a transaction; its role may SET ROLE to the owner. */
  readonly client: pg.Client;
  readonly plan: RetentionPlan;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** At every start it meets the upkeep of partitions, which is done in a moment. */
const waitMs = 5_000;

/**
 * One round of retention: the outbox, then what must live as long as its events. A part that fails is logged, and the
 * others go on.
 *
 * @returns whether every part was done
 */
export async function retentionRound(options: RoundOptions): Promise<boolean> {
  const { client, plan, logger, signal } = options;
  const now = await earlierClock(client);
  let done = true;
  const part = async (table: string, work: () => Promise<unknown>): Promise<void> => {
    if (signal.aborted) return;
    try {
      await work();
    } catch (error) {
      done = false;
      if (!signal.aborted) logger.warn('retention.failed', { table, error });
    }
  };
  await part('outbox', () => pruneOutbox(options, now));
  const settled = done;
  await part('replay', () => removeReplays(options, now - plan.replayMs));
  await part('webhook_attempt', () => prune(options, 'webhook_attempt', now - plan.attemptMs));
  // What was taken out of the outbox and not dropped may come back.
  if (!settled) return false;
  // An event that is there may be read again: the inbox must know it, and the reader wants ticks of its time.
  await part('consumer_idempotency', async () => {
    const oldest = await oldestEvents(client);
    await prune(options, 'consumer_idempotency', Math.min(now - plan.inboxMs, oldest));
  });
  await part('tick', async () => {
    const oldest = await oldestEvents(client);
    await prune(options, 'tick', Math.min(now - plan.tickMs, oldest));
    await asOwner(client, () => thinTicks(client, { now, signal }));
  });
  return done;
}

/** Ours or the database's: a clock that is ahead must not cost data. */
async function earlierClock(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ now: number }>(
    'select extract(epoch from clock_timestamp())::float8 * 1000 as now',
  );
  return Math.min(Date.now(), rows[0]?.now ?? Number.NEGATIVE_INFINITY);
}

/** The beginning of the first partition of the outbox that holds an event; of all time when none does. */
async function oldestEvents(client: pg.Client): Promise<number> {
  return await asOwner(client, async () => {
    for (const { name, from } of await listPartitions(client, 'outbox')) {
      if (!(await isEmpty(client, name))) return from;
    }
    return Number.POSITIVE_INFINITY;
  });
}

async function prune(
  { client, logger, signal }: RoundOptions,
  table: DayPartitionedTable,
  before: number,
): Promise<void> {
  if (before === Number.NEGATIVE_INFINITY) return;
  const { dropped } = await prunePartitions(client, { table, before: new Date(before), waitMs, signal });
  if (dropped.length > 0) logger.info('retention.dropped', { table, partitions: dropped });
}

/** Those that were done or cancelled before that time; one that is paused is neither. */
async function removeReplays({ client, logger }: RoundOptions, before: number): Promise<void> {
  const replays = await asOwner(client, () => dropOldReplays(client, new Date(before)));
  if (replays > 0) logger.info('retention.replays.dropped', { replays });
}

async function pruneOutbox(options: RoundOptions, now: number): Promise<void> {
  const { client, plan, logger, signal } = options;
  await refuseForeign(client);
  const before = now - plan.outboxMs;
  const forced = ({ to }: Pick<Partition, 'to'>): boolean => to <= now - plan.maxMs;
  const archived = new Map<string, number>();
  await archiveExpired(options, { before, forced, archived });
  const abandoned = new Map<string, number>();
  const { dropped, kept } = await prunePartitions(client, {
    table: 'outbox',
    before: new Date(before),
    waitMs,
    signal,
    guard: {
      async keep(partition) {
        const { name } = partition;
        const hold = forced(partition) ? undefined : await holdOf(client, partition);
        const copied = archived.get(name) ?? null;
        if (hold !== undefined) logger.warn('retention.kept', { partition: name, ...hold });
        if (hold !== undefined || (plan.archive !== undefined && copied === null)) {
          await forgetDrop(client, name);
          return true;
        }
        if (forced(partition)) abandoned.set(name, await pendingDeliveries(client, partition));
        await beginDrop(client, { name, forced: forced(partition), archived: copied });
        // failpoint: retention.begun
        return false;
      },
      async release(name) {
        const gone = (await finishDrop(client, name)) === true;
        if (!gone) logger.warn('retention.kept', { partition: name, reason: 'changed' });
        return gone;
      },
    },
  });
  if (dropped.length > 0) logger.info('retention.dropped', { table: 'outbox', partitions: dropped });
  for (const [partition, deliveries] of abandoned) {
    if (deliveries === 0 || partition === kept) continue;
    logger.error('retention.deliveries.abandoned', { partition, deliveries });
  }
}

/** What a checkpoint of another cluster has read cannot be told here, until the relay has adopted it. @throws ER1206 */
async function refuseForeign(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ foreign: boolean }>(
    `select exists (select from event_runtime.relay_cluster k where k.system_identifier <> c.system_identifier::text)
         or exists (select from event_runtime.relay_checkpoint p
                     where p.system_identifier <> c.system_identifier::text) as foreign
       from pg_control_system() c`,
  );
  if (rows[0]?.foreign === true) throw runtimeError('ER1206');
}

/**
 * Archives what may go, oldest first, before the pruner takes the lock that partition upkeep needs: an archive may
 * be slow. Stops at the first that is not taken.
 */
async function archiveExpired(
  { client, plan: { archive }, logger, signal }: RoundOptions,
  {
    before,
    forced,
    archived,
  }: {
    readonly before: number;
    readonly forced: (partition: Partition) => boolean;
    readonly archived: Map<string, number>;
  },
): Promise<void> {
  if (archive === undefined) return;
  await asOwner(client, async () => {
    for (const partition of await listPartitions(client, 'outbox')) {
      const { name, to, detaching } = partition;
      if (to > before) return;
      if (detaching || (await isEmpty(client, name))) continue;
      if (!forced(partition) && (await holdOf(client, partition)) !== undefined) return;
      try {
        const events = await archivePartition(client, { partition, archive, signal });
        archived.set(name, events);
        logger.info('retention.archived', { partition: name, events });
      } catch (error) {
        signal.throwIfAborted();
        logger.warn('retention.archive.failed', { partition: name, error });
        return;
      }
    }
  });
}

async function asOwner<T>(client: pg.Client, work: () => Promise<T>): Promise<T> {
  await client.query('set role event_runtime_owner');
  try {
    return await work();
  } finally {
    // Fails only on a broken connection.
    await client.query('reset role').catch(() => undefined);
  }
}
