import fc from 'fast-check';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { createMigratedDatabase, type MigratedDatabase } from '../testing/migrated-database.ts';
import { Emitter, lost } from './emitter.suite.ts';
import {
  dayMs,
  dayPartitionedTables,
  gapsBetween,
  listPartitions,
  type Partition,
  startOfDay,
} from './partition-catalog.ts';
import { ensurePartitions } from './partitioner.ts';
import { lastUpkeepAt } from './past-upkeep.suite.ts';
import { prunePartitions } from './pruner.ts';

const days = (count: number): Date => new Date(Date.now() + count * dayMs);
const quick = { lockTimeoutMs: 100, attempts: 2 };

async function database(major: '15' | '18'): Promise<MigratedDatabase> {
  const made = await createMigratedDatabase(inject('postgres')[major]);
  onTestFinished(() => made[Symbol.asyncDispose]());
  return made;
}

/** All of time is covered, nothing is half detached. */
function expectSound(partitions: readonly Partition[]): void {
  expect(gapsBetween(partitions)).toEqual([]);
  expect(partitions.filter((partition) => partition.detaching)).toEqual([]);
}

function widthAt(partitions: readonly Partition[], time: Date): number {
  const at = partitions.find(({ from, to }) => from <= time.getTime() && time.getTime() < to);
  return at === undefined ? Number.NaN : (at.to - at.from) / dayMs;
}

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  test('after a migration every table has its days ahead, and upkeep has nothing to do', async () => {
    const client = await (await database(major)).connect();
    for (const report of await ensurePartitions(client)) {
      expect(report).toMatchObject({ daysAhead: 37, created: 0 });
      const partitions = await listPartitions(client, report.table);
      expectSound(partitions);
      for (const day of [0, 1, 30, 36]) expect(widthAt(partitions, days(day))).toBe(1);
      expect(partitions.at(0)?.name).toBe(`${report.table}_underflow`);
      expect(partitions.at(-1)?.name).toBe(`${report.table}_overflow`);
    }
    const session = await client.query(
      "select current_user::text as role, current_setting('lock_timeout') as wait",
    );
    expect(session.rows).toEqual([{ role: 'postgres', wait: '0' }]);
  });

  test('a clock that is set back or leaps ahead by decades fails no INSERT', async () => {
    const client = await (await database(major)).connect();
    for (const [at, leaf] of [
      ['1999-01-01', 'outbox_underflow'],
      ['2099-01-01', 'outbox_overflow'],
    ]) {
      const { rows } = await client.query(
        `insert into event_runtime.outbox (event_id, tenant_id, event_type, payload, recorded_at)
         values (gen_random_uuid(), 't', 'e', '1', $1) returning tableoid::regclass::text as leaf`,
        [at],
      );
      expect(rows).toEqual([{ leaf: `event_runtime.${leaf}` }]);
    }
    // With rows out there, upkeep goes on all the same.
    const reports = await ensurePartitions(client, { today: days(20) });
    expect(reports.every((report) => report.daysAhead >= 30)).toBe(true);
  });

  test('no INSERT waits or fails while upkeep and pruning run beside a transaction that stays open', async () => {
    const shared = await database(major);
    const upkeep = await shared.connect();
    await lastUpkeepAt(upkeep, days(-10));
    await upkeep.query(
      `insert into event_runtime.outbox (event_id, tenant_id, event_type, payload, recorded_at)
       select gen_random_uuid(), 't1', 'old', '1', now() - make_interval(days => d) from generate_series(5, 12) d`,
    );
    const holder = await shared.connect();
    await holder.query('begin');
    await holder.query('select count(*) from event_runtime.outbox');
    await holder.query("select 1 from event_runtime.emit('held', '1', 't1')");

    const emitter = await Emitter.start(shared);
    await emitter.more(50);
    for (const today of [days(0), days(9), days(20)]) {
      await expect(ensurePartitions(upkeep, { today, ...quick })).rejects.toMatchObject({ code: 'ER1105' });
      await emitter.more(20);
    }
    const prune = { table: 'outbox', before: days(-3), ...quick } as const;
    await expect(prunePartitions(upkeep, prune)).rejects.toMatchObject({ code: 'ER1105' });
    await emitter.more(20);
    expect(emitter.failures).toEqual([]);

    await holder.query('commit');
    for (const day of [0, 9, 20, 60]) {
      const reports = await ensurePartitions(upkeep, { today: days(day) });
      expect(reports.every((report) => report.daysAhead >= 30)).toBe(true);
      await emitter.more(20);
    }
    const { dropped } = await prunePartitions(upkeep, prune);
    await emitter.more(50);
    await emitter.stop();

    expect(emitter.failures).toEqual([]);
    expect(await lost(upkeep, emitter.emitted)).toBe(0);
    expect(dropped.length).toBeGreaterThanOrEqual(6);
    const old = await upkeep.query(
      "select count(*)::int as n from event_runtime.outbox where event_type = 'old'",
    );
    expect(old.rows).toEqual([{ n: 0 }]);
    for (const table of dayPartitionedTables) expectSound(await listPartitions(upkeep, table));
  });

  test('the measure is right: a plain DETACH beside an open transaction does make an INSERT wait', async () => {
    const shared = await database(major);
    const [holder, other] = [await shared.connect(), await shared.connect()];
    await holder.query('begin');
    await holder.query('select count(*) from event_runtime.outbox');
    const emitter = await Emitter.start(shared);
    await emitter.more(10);
    await other.query("set lock_timeout = '1s'");
    const detach = other.query(
      'alter table event_runtime.outbox detach partition event_runtime.outbox_overflow',
    );
    await expect(detach).rejects.toMatchObject({ code: '55P03' });
    await emitter.stop();
    expect(emitter.failures.length).toBeGreaterThan(0);
  });

  test.each([major === '15' ? 45 : 200])(
    'upkeep stopped for %i days: emits go on, nothing is lost, days come back',
    async (stopped) => {
      const shared = await database(major);
      const upkeep = await shared.connect();
      await lastUpkeepAt(upkeep, days(-stopped));
      expect(widthAt(await listPartitions(upkeep, 'outbox'), new Date())).toBeGreaterThan(1);

      const emitter = await Emitter.start(shared);
      await emitter.more(50);
      const reports = await ensurePartitions(upkeep);
      await emitter.more(50);
      await emitter.stop();

      expect(emitter.failures).toEqual([]);
      expect(await lost(upkeep, emitter.emitted)).toBe(0);
      for (const { table, daysAhead } of reports) {
        expect(daysAhead).toBeGreaterThanOrEqual(30);
        const partitions = await listPartitions(upkeep, table);
        expectSound(partitions);
        // What rows lie in stays as it is; the days go on where it ends.
        const current = partitions.find(({ from, to }) => from <= Date.now() && Date.now() < to);
        const end = new Date(current?.to ?? Number.NaN);
        if (end.getTime() > days(7).getTime()) expect(widthAt(partitions, end)).toBe(1);
        expect(widthAt(partitions, new Date(days(daysAhead - 1)))).toBe(1);
      }
      // From then on upkeep is as usual: in time every day has a partition of its own again.
      for (let day = 20; day <= 60; day += 20) await ensurePartitions(upkeep, { today: days(day) });
      const partitions = await listPartitions(upkeep, 'outbox');
      expect(widthAt(partitions, days(60))).toBe(1);
      expectSound(partitions);
    },
  );

  test('an upkeep that was cut off anywhere is healed by the next', async () => {
    const shared = await database(major);
    const [upkeep, holder, observer] = [
      await shared.connect(),
      await shared.connect(),
      await shared.connect(),
    ];
    await holder.query('begin');
    await holder.query('select count(*) from event_runtime.outbox');
    // Killed while it waits with a partition half detached.
    const cut = ensurePartitions(upkeep, { today: days(9), lockTimeoutMs: 60_000 });
    const outcome = cut.catch((cause: unknown) => cause);
    for (;;) {
      const { rowCount } = await observer.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock' and query like '%concurrently%'`,
      );
      if ((rowCount ?? 0) > 0) break;
    }
    expect(await outcome).toBeInstanceOf(Error);
    expect((await listPartitions(observer, 'outbox')).some((partition) => partition.detaching)).toBe(true);
    await holder.query('commit');
    await ensurePartitions(observer, { today: days(9) });
    expectSound(await listPartitions(observer, 'outbox'));

    // Ended between DETACH and DROP: one with rows, one without, and the first of all.
    const { rows } = await observer.query<{ event_id: string; leaf: string }>(
      `with e as (insert into event_runtime.outbox (event_id, tenant_id, event_type, payload, recorded_at)
         select gen_random_uuid(), 't', 'e', '1', now() + make_interval(days => d) from unnest(array[-5, 1, 3]) d
         returning event_id, tableoid)
       select event_id, tableoid::regclass::text as leaf from e`,
    );
    const empty = (await listPartitions(observer, 'outbox')).at(-3)?.name;
    for (const leaf of [...rows.map((row) => row.leaf), `event_runtime.${empty}`]) {
      await observer.query(`alter table event_runtime.outbox detach partition ${leaf}`);
    }
    const ids = rows.map((row) => row.event_id);
    expect(await lost(observer, ids)).toBe(3);
    await ensurePartitions(observer, { today: days(9) });
    expect(await lost(observer, ids)).toBe(0);
    expectSound(await listPartitions(observer, 'outbox'));
  });

  test('killed in the middle of a cut, and away until time is there: the first thing it does is to close the gap', async () => {
    const client = await (await database(major)).connect();
    const wide = (await listPartitions(client, 'outbox')).find(
      ({ from, to }) => to - from > dayMs && from > 0,
    );
    await client.query(
      `alter table event_runtime.outbox detach partition event_runtime.${wide?.name} concurrently`,
    );
    const today = new Date((wide?.from ?? Number.NaN) + 2 * dayMs);
    await ensurePartitions(client, { today });
    const partitions = await listPartitions(client, 'outbox');
    expectSound(partitions);
    expect(widthAt(partitions, today)).toBe(1);
  });

  test('two upkeeps at once: one works, the other is told to come again', async () => {
    const shared = await database(major);
    const clients = await Promise.all([shared.connect(), shared.connect(), shared.connect()]);
    const outcomes = await Promise.allSettled(
      clients.map((client) => ensurePartitions(client, { today: days(30) })),
    );
    expect(outcomes.some((outcome) => outcome.status === 'fulfilled')).toBe(true);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected')
        expect(outcome.reason).toMatchObject({ code: 'ER1105', retryable: true });
    }
    for (const client of clients) await ensurePartitions(client, { today: days(30) });
  });

  test('whatever the days upkeep runs on, all of time is covered and the days ahead are single', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.integer({ min: 0, max: 10 }), fc.integer({ min: 0, max: 400 })), {
          minLength: 1,
          maxLength: 6,
        }),
        async (pauses) => {
          await using migrated = await createMigratedDatabase(inject('postgres')[major]);
          const client = await migrated.connect();
          let day = 0;
          for (const pause of pauses) {
            day += pause;
            const reports = await ensurePartitions(client, { today: days(day) });
            for (const { table, daysAhead } of reports) {
              const partitions = await listPartitions(client, table);
              expectSound(partitions);
              expect(daysAhead).toBeGreaterThanOrEqual(30);
              // Wide is only what was too near to be cut.
              const [near, far] = [startOfDay(days(day + 7).getTime()), startOfDay(days(day + 30).getTime())];
              const cuttable = partitions.filter(({ from }) => from >= near && from < far);
              expect(cuttable.filter(({ from, to }) => to - from !== dayMs)).toEqual([]);
            }
          }
        },
      ),
      { numRuns: 5, seed: Number(process.env['FC_SEED'] ?? Date.now() % 2 ** 31), verbose: 1 },
    );
  });
});
