import type pg from 'pg';
import { beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import { createMigratedDatabase, createPreparedTemplate } from '../testing/migrated-database.ts';
import { dayMs, gapsBetween, listPartitions, startOfDay } from './partition-catalog.ts';
import { lastUpkeepAt } from './past-upkeep.suite.ts';
import { prunePartitions } from './pruner.ts';

const days = (count: number): Date => new Date(Date.now() + count * dayMs);

/** A schema that has been there for twenty days, with one event for each of them and two from before. */
async function makeOld(client: pg.Client): Promise<void> {
  await lastUpkeepAt(client, days(-20));
  await client.query(
    `insert into event_runtime.outbox (event_id, tenant_id, event_type, payload, recorded_at)
     select gen_random_uuid(), 't', 'e', '1', now() - make_interval(days => d) from generate_series(0, 22) d`,
  );
}

async function agesLeft(client: pg.Client): Promise<readonly number[]> {
  const { rows } = await client.query<{ age: number }>(
    'select extract(day from now() - recorded_at)::int as age from event_runtime.outbox order by 1',
  );
  return rows.map((row) => row.age);
}

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let template: string;
  beforeAll(async () => {
    template = await createPreparedTemplate(inject('postgres')[major], makeOld);
  });

  async function aged(): Promise<pg.Client> {
    const database = await createMigratedDatabase(inject('postgres')[major], template);
    onTestFinished(() => database[Symbol.asyncDispose]());
    return await database.connect();
  }

  test('whole days older than the bound go, what ends after it stays', async () => {
    const client = await aged();
    const report = await prunePartitions(client, { table: 'outbox', before: days(-7) });
    expect(report.dropped).toHaveLength(13);
    // The day that the bound lies in has not ended before it.
    expect(await agesLeft(client)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    const partitions = await listPartitions(client, 'outbox');
    expect(gapsBetween(partitions)).toEqual([]);
    expect(partitions.map(({ name }) => name)).not.toContain(report.dropped[0]);
    expect(await prunePartitions(client, { table: 'outbox', before: days(-7) })).toEqual({
      dropped: [],
      kept: undefined,
    });
    // What is older than all days is still taken.
    await client.query(
      `insert into event_runtime.outbox (event_id, tenant_id, event_type, payload, recorded_at)
       values (gen_random_uuid(), 't', 'e', '1', now() - interval '10 days')`,
    );
    expect(await agesLeft(client)).toContain(10);
    await prunePartitions(client, { table: 'outbox', before: days(-7) });
    expect(await agesLeft(client)).not.toContain(10);
  });

  test('the guard is asked for partitions with rows, oldest first; from where it says keep, all stays', async () => {
    const client = await aged();
    const asked: number[] = [];
    const report = await prunePartitions(client, {
      table: 'outbox',
      before: days(-7),
      guard: {
        keep: async ({ to }) => {
          asked.push(to);
          return to > days(-15).getTime();
        },
        release: async () => true,
      },
    });
    expect(asked).toEqual(asked.toSorted((a, b) => a - b));
    // Underflow, the days -20 to -16, and -15, which is kept.
    expect(asked).toHaveLength(7);
    expect(report.kept).toBeDefined();
    expect((await agesLeft(client)).at(-1)).toBe(15);
    expect(gapsBetween(await listPartitions(client, 'outbox'))).toEqual([]);
  });

  test('a guard that keeps the oldest keeps everything', async () => {
    const client = await aged();
    const before = await listPartitions(client, 'outbox');
    const report = await prunePartitions(client, {
      table: 'outbox',
      before: days(-7),
      guard: { keep: async () => true, release: async () => true },
    });
    expect(report).toEqual({ dropped: [], kept: 'outbox_underflow' });
    expect(await agesLeft(client)).toHaveLength(23);
    expect(await listPartitions(client, 'outbox')).toEqual(before);
  });

  test('a bound in the future is a mistake', async () => {
    const client = await aged();
    await expect(prunePartitions(client, { table: 'outbox', before: days(1) })).rejects.toThrow(RangeError);
    expect(await agesLeft(client)).toHaveLength(23);
  });

  test('a row that comes to the underflow after it was found empty is not dropped unasked', async () => {
    const client = await aged();
    await client.query('delete from event_runtime.outbox_underflow');
    const late = async (age: number): Promise<void> => {
      await client.query(
        `insert into event_runtime.outbox (event_id, tenant_id, event_type, payload, recorded_at)
         values (gen_random_uuid(), 't', 'late', '1', now() - make_interval(days => $1))`,
        [age],
      );
    };
    const asked: string[] = [];
    const report = await prunePartitions(client, {
      table: 'outbox',
      before: days(-15),
      guard: {
        keep: async ({ to }) => {
          // The underflow's turn is over.
          if (to === startOfDay(days(-15).getTime())) await late(40);
          return false;
        },
        release: async (name) => {
          asked.push(name);
          return name !== 'outbox_underflow';
        },
      },
    });
    expect(asked).toHaveLength(report.dropped.length + 1);
    expect(report.kept).toBe('outbox_underflow');
    expect((await agesLeft(client)).slice(-2)).toEqual([15, 40]);
    expect(gapsBetween(await listPartitions(client, 'outbox'))).toEqual([]);
    // It covers more than it did, and takes what lies there.
    for (const age of [16, 18, 21, 60]) await late(age);
    expect((await agesLeft(client)).slice(-6)).toEqual([15, 16, 18, 21, 40, 60]);
  });

  test('what the guard does not release is attached again, and all after it stays', async () => {
    const client = await aged();
    const asked: string[] = [];
    const report = await prunePartitions(client, {
      table: 'outbox',
      before: days(-7),
      guard: {
        keep: async () => false,
        release: async (name) => {
          asked.push(name);
          return asked.length < 4;
        },
      },
    });
    // The underflow, and two days.
    expect(asked).toHaveLength(4);
    expect(report).toEqual({ dropped: asked.slice(1, 3), kept: asked[3] });
    expect((await agesLeft(client)).at(-1)).toBe(18);
    expect(gapsBetween(await listPartitions(client, 'outbox'))).toEqual([]);
  });

  test('cut off between two partitions, the next run finishes the work', async () => {
    const client = await aged();
    // Detached and not dropped, as a killed pruner leaves it.
    const [, first, second] = await listPartitions(client, 'outbox');
    await client.query(`alter table event_runtime.outbox detach partition event_runtime.${first?.name}`);
    await client.query(`alter table event_runtime.outbox detach partition event_runtime.${second?.name}`);
    await client.query(`drop table event_runtime.${second?.name}`);
    await prunePartitions(client, { table: 'outbox', before: days(-7) });
    expect(await agesLeft(client)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(gapsBetween(await listPartitions(client, 'outbox'))).toEqual([]);
    const { rows } = await client.query(
      "select c.relname from pg_class c where c.relnamespace = 'event_runtime'::regnamespace and c.relname = any($1)",
      [[first?.name, second?.name]],
    );
    expect(rows).toEqual([]);
  });

  test('another session does upkeep: refused, or waited for', async () => {
    const client = await aged();
    const database = await createMigratedDatabase(inject('postgres')[major]);
    onTestFinished(() => database[Symbol.asyncDispose]());
    const [own, other] = [await database.connect(), await database.connect()];
    // The lock of upkeep; another database's is another one.
    await other.query('select pg_advisory_lock(4409127756320017361)');
    const prune = { table: 'tick', before: days(-7) } as const;
    await expect(prunePartitions(own, prune)).rejects.toMatchObject({ code: 'ER1105' });
    await expect(prunePartitions(own, { ...prune, waitMs: 100 })).rejects.toMatchObject({ code: 'ER1105' });
    await prunePartitions(client, prune);
    const waiting = prunePartitions(own, { ...prune, waitMs: 30_000 });
    await other.query('select pg_advisory_unlock(4409127756320017361)');
    expect(await waiting).toEqual({ dropped: [], kept: undefined });
  });
});
