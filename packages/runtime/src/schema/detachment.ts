import { type DayPartitionedTable, listPartitions, quote } from './partition-catalog.ts';
import type { UpkeepSession } from './upkeep-session.ts';

/**
 * Takes a partition out of its table without a lock that an INSERT waits for: DETACH CONCURRENTLY, which
 * waits until every transaction that has used the table has ended. When the wait is cut short the
 * partition stays in the state "detaching"; the next attempt, here or in a later run, finishes it.
 *
 * @throws ER1105 a transaction was open for longer than all attempts together
 */
export async function detachPartition(
  session: UpkeepSession,
  where: { readonly table: DayPartitionedTable; readonly name: string },
): Promise<void> {
  await session.retrying(`Partition ${where.name} could not be detached.`, async () => {
    const partition = (await listPartitions(session.client, where.table)).find((p) => p.name === where.name);
    if (partition === undefined) return;
    const mode = partition.detaching ? 'finalize' : 'concurrently';
    await session.client.query(
      `alter table event_runtime.${where.table} detach partition event_runtime.${quote(where.name)} ${mode}`,
    );
  });
}
