import type pg from 'pg';
import { dayPartitionedTables, listPartitions } from './partition-catalog.ts';
import { ensurePartitions } from './partitioner.ts';

/** As if the schema had been migrated, and upkeep had last run, at another time. */
export async function lastUpkeepAt(client: pg.Client, today: Date): Promise<void> {
  for (const table of dayPartitionedTables) {
    const names = (await listPartitions(client, table)).map(({ name }) => `event_runtime.${name}`);
    await client.query(`drop table ${names.join(', ')}`);
  }
  await ensurePartitions(client, { today });
}
