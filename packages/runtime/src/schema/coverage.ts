import { detachPartition } from './detachment.ts';
import { finishDrop } from './outbox-drop.ts';
import {
  type DayPartitionedTable,
  gapsBetween,
  isEmpty,
  listOrphans,
  listPartitions,
  quote,
  rangeOfName,
  toBound,
} from './partition-catalog.ts';
import type { UpkeepSession } from './upkeep-session.ts';

export interface CoveragePlan {
  readonly table: DayPartitionedTable;
  /** Start of the day at which an empty table's partitions begin. */
  readonly today: number;
}

/** A gap begins with this many single days: so upkeep has work once a week, not daily. */
const daysPerCut = 7;

/**
 * Brings a table into the state that all upkeep starts from: finishes detachments and announced drops, removes or
 * takes back what is attached nowhere, and fills every gap. An upkeep that was interrupted anywhere is healed by it.
 *
 * @returns how many partitions were made
 */
export async function healCoverage(session: UpkeepSession, plan: CoveragePlan): Promise<number> {
  const { client } = session;
  for (const partition of await listPartitions(client, plan.table)) {
    if (partition.detaching) await detachPartition(session, { table: plan.table, name: partition.name });
  }
  return await session.retrying(`Partitions of ${plan.table} could not be attached.`, () =>
    session.transaction(async () => {
      for (const name of await listOrphans(client, plan.table)) {
        if (plan.table === 'outbox' && (await finishDrop(client, name)) === true) continue;
        if (await isEmpty(client, name)) await client.query(`drop table event_runtime.${quote(name)}`);
        else await takeBack(session, { table: plan.table, name });
      }
      let created = 0;
      for (const gap of gapsBetween(await listPartitions(client, plan.table))) {
        created += await fill(session, { ...plan, ...gap });
      }
      return created;
    }),
  );
}

/**
 * A detached table with rows: its pruning was interrupted, or the clock leapt into a partition while it
 * was being cut. Attached again where it was, nothing is lost; the pruner will come again.
 */
async function takeBack(
  session: UpkeepSession,
  orphan: { readonly table: DayPartitionedTable; readonly name: string },
): Promise<void> {
  const gaps = gapsBetween(await listPartitions(session.client, orphan.table));
  const range = rangeOfName(orphan.name) ?? (orphan.name.endsWith('_underflow') ? gaps.at(0) : gaps.at(-1));
  if (range === undefined || !gaps.some((gap) => gap.from <= range.from && range.to <= gap.to)) return;
  await session.client.query(
    `alter table event_runtime.${orphan.table} attach partition event_runtime.${quote(orphan.name)}
     for values from (${literal(range.from, 'minvalue')}) to (${literal(range.to, 'maxvalue')})`,
  );
  await dropLeftConstraints(session, orphan);
}

/**
 * DETACH CONCURRENTLY leaves the partition's old bounds behind as a CHECK. It would cost every INSERT, and refuse rows
 * of the range that `_underflow` has grown by.
 */
async function dropLeftConstraints(
  { client }: UpkeepSession,
  { table, name }: { readonly table: DayPartitionedTable; readonly name: string },
): Promise<void> {
  const { rows } = await client.query<{ constraint: string }>(
    `select l.conname as constraint
       from pg_constraint l
      where l.contype = 'c' and l.conrelid = $1::regclass
        and not exists (select from pg_constraint r
                         where r.contype = 'c' and r.conrelid = $2::regclass and r.conname = l.conname)`,
    [`event_runtime.${quote(name)}`, `event_runtime.${quote(table)}`],
  );
  for (const { constraint } of rows) {
    await client.query(`alter table event_runtime.${quote(name)} drop constraint ${quote(constraint)}`);
  }
}

function literal(time: number, open: string): string {
  return Number.isFinite(time) ? `'${toBound(time)}'` : open;
}

async function fill(
  session: UpkeepSession,
  gap: CoveragePlan & { readonly from: number; readonly to: number },
): Promise<number> {
  if (gap.from === Number.NEGATIVE_INFINITY && gap.to === Number.POSITIVE_INFINITY) {
    return (
      (await fill(session, { ...gap, to: gap.today })) + (await fill(session, { ...gap, from: gap.today }))
    );
  }
  const { rows } = await session.client.query<{ created: number }>(
    'select event_runtime.partition_cover($1, $2::timestamptz, $3::timestamptz, $4) as created',
    [gap.table, toBound(gap.from), toBound(gap.to), daysPerCut],
  );
  return rows[0]?.created ?? 0;
}
