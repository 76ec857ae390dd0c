import type { ClientBase } from 'pg';
import { healCoverage } from './coverage.ts';
import { detachPartition } from './detachment.ts';
import {
  type DayPartitionedTable,
  dayMs,
  dayPartitionedTables,
  isEmpty,
  listPartitions,
  type Partition,
  startOfDay,
} from './partition-catalog.ts';
import { type UpkeepOptions, type UpkeepSession, withUpkeepSession } from './upkeep-session.ts';

export interface EnsurePartitionsOptions extends UpkeepOptions {
  /** Any time of the day that counts as today. Default: now. */
  readonly today?: Date | undefined;
  /** How many days from today on must have a partition of their own, at least. Default 30. */
  readonly daysAhead?: number | undefined;
}

/** How one table stands after {@link ensurePartitions}. */
export interface PartitionReport {
  readonly table: DayPartitionedTable;
  /**
   * Days from today to the next wide partition that upkeep may still cut. Every partition up to there is a
   * day, but for those that time had reached, or almost, when upkeep came back after a long pause.
   */
  readonly daysAhead: number;
  /** Partitions that were made. */
  readonly created: number;
}

/**
 * A wide partition that begins sooner than this is left as it is: cutting it takes it out for a moment
 * (until every open transaction has ended), and time must not arrive there meanwhile.
 */
const untouchableDays = 7;

/**
 * Keeps day partitions ahead of time for every day-partitioned table, without a lock that an INSERT waits for.
 *
 * All of time is covered at any moment: before the first day by `_underflow`, after the last by ever wider
 * partitions and `_overflow`. When upkeep was stopped for long, rows lie in a wide partition; it stays as it
 * is, days go on after it. Wide partitions are cut while they are empty and at least a week away:
 * detached concurrently, dropped, and their range filled again. Safe to interrupt: the next call heals.
 *
 * @param client a direct connection of its own, outside a transaction; its role may SET ROLE to the owner
 * @throws ER1105 a lock was not to be had; retryable, nothing is blocked
 */
export async function ensurePartitions(
  client: ClientBase,
  options: EnsurePartitionsOptions = {},
): Promise<readonly PartitionReport[]> {
  const plan = {
    today: startOfDay((options.today ?? new Date()).getTime()),
    daysAhead: options.daysAhead ?? 30,
  };
  return await withUpkeepSession(
    client,
    async (session) => {
      const reports: PartitionReport[] = [];
      for (const table of dayPartitionedTables) reports.push(await ensureTable(session, { table, ...plan }));
      return reports;
    },
    options,
  );
}

interface TablePlan {
  readonly table: DayPartitionedTable;
  readonly today: number;
  readonly daysAhead: number;
}

async function ensureTable(session: UpkeepSession, plan: TablePlan): Promise<PartitionReport> {
  let created = await healCoverage(session, plan);
  for (;;) {
    const { horizon, wide } = await firstCuttable(session, plan);
    const daysAhead = Math.floor((horizon - plan.today) / dayMs);
    if (wide === undefined || daysAhead >= plan.daysAhead) return { table: plan.table, daysAhead, created };
    await detachPartition(session, { table: plan.table, name: wide.name });
    created += await healCoverage(session, plan);
  }
}

/**
 * The first partition wider than a day that may be cut. Rows with a time that far ahead (the clock leapt,
 * and came back) keep theirs from being cut; should they be in the last, that one counts as the horizon.
 */
async function firstCuttable(
  session: UpkeepSession,
  plan: TablePlan,
): Promise<{ readonly horizon: number; readonly wide: Partition | undefined }> {
  const partitions = await listPartitions(session.client, plan.table);
  for (const partition of partitions) {
    if (partition.to - partition.from <= dayMs) continue;
    if (partition.from < plan.today + untouchableDays * dayMs) continue;
    if (await isEmpty(session.client, partition.name)) return { horizon: partition.from, wide: partition };
  }
  return { horizon: partitions.at(-1)?.from ?? plan.today, wide: undefined };
}
