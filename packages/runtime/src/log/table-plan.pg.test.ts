import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { allDays } from '../testing/migrated-database.ts';
import { LogFixture, signal } from './log-fixture.suite.ts';
import { Snapshot } from './snapshot.ts';

const dayMs = 86_400_000;

function partitionOf(at: number): string {
  return `outbox_${new Date(at).toISOString().slice(0, 10).replaceAll('-', '')}`;
}

/**
 * What the reader makes PostgreSQL do, by EXPLAIN (ANALYZE) of the very statements that it sends: with fresh
 * statistics, and with none, where a planner takes any condition for a rare one.
 */
describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let log: LogFixture;
  /** The partitions that a batch of now may be looked for in: around midnight, also those beside today's. */
  let days: readonly string[];
  beforeAll(async () => {
    // With every day that is ahead: none of them may be looked at.
    log = await LogFixture.create(inject('postgres')[major], allDays);
    // Statistics come when a test asks for them.
    const { rows } = await log.sql.query<{ name: string }>(
      "select name from event_runtime.partition_list('outbox') where not detaching",
    );
    for (const { name } of rows) {
      await log.sql.query(`alter table event_runtime.${name} set (autovacuum_enabled = off)`);
    }
  });
  afterAll(() => log[Symbol.asyncDispose]());
  beforeEach(async () => {
    await log.empty();
    // Of yesterday there is none of its own.
    days = ['outbox_underflow', partitionOf(Date.now()), partitionOf(Date.now() + dayMs)];
    for (const day of days) {
      await log.sql.query(`truncate event_runtime.${day}`);
      await log.sql.query(`delete from pg_statistic where starelid = 'event_runtime.${day}'::regclass`);
    }
  });

  /** With statistics as they are now, then with none. */
  async function bothWays(check: () => Promise<void>): Promise<void> {
    await check();
    for (const day of days) await log.sql.query(`analyze event_runtime.${day}`);
    await check();
  }

  test('a page of one huge transaction looks at that page only', async () => {
    await log.bulk(1_000);
    await log.tick();
    const from = await log.now();
    await log.bulk(100_000);
    const to = await log.now();
    await bothWays(async () => {
      const [first, second] = await log.firstPages({ from, to }, 2);
      expect(first?.events).toHaveLength(1_000);
      const { visited, nodes, tables, indexes } = await log.explain(
        log.lastSent(`o.seq > ${second?.lastSeq}`),
      );
      expect(visited).toBeLessThanOrEqual(1_100);
      expect(nodes.has('Sort')).toBe(false);
      expect(days).toEqual(expect.arrayContaining([...tables]));
      expect(days.map((day) => `${day}_seq_idx`)).toEqual(expect.arrayContaining([...indexes]));
      expect(indexes.size).toBe(tables.size);
    });
  });

  test('a batch of a huge transaction that was open before it, too', async () => {
    await log.bulk(10);
    await log.tick();
    const open = await log.connect();
    await open.query('begin');
    await log.bulk(50_000, { client: open });
    await log.tick();
    await log.bulk(20_000);
    const from = await log.now();
    await open.query('commit');
    await log.tick();
    const to = await log.now();
    await bothWays(async () => {
      const [first] = await log.firstPages({ from, to }, 1);
      expect(first?.events).toHaveLength(1_000);
      const { visited, sorted, tables, indexes } = await log.explain(log.lastSent('(o.tx_id, o.seq) >'));
      // At most two pages of it: each of the few transactions gives up to that many.
      expect(sorted).toBeLessThanOrEqual(2_000);
      expect(visited).toBeLessThanOrEqual(2_100);
      expect(days).toEqual(expect.arrayContaining([...tables]));
      expect(days.map((day) => `${day}_tx_id_seq_idx`)).toEqual(expect.arrayContaining([...indexes]));
      expect(indexes.size).toBe(tables.size);
    });
  });

  test('an old writer elsewhere costs nothing: what was committed since it began is not looked at again', async () => {
    await log.tick();
    const writers = [await log.open('old'), await log.open('old')];
    await log.tick();
    await log.bulk(30_000);
    await log.tick();
    await log.bulk(500);
    await log.tick();
    const from = await log.now();
    await log.bulk(40, { name: 'new' });
    const to = await log.now();
    await writers[0]?.query('commit');
    const end = await log.now();
    await bothWays(async () => {
      log.statements.length = 0;
      expect(new Set(await log.names(from, to))).toEqual(new Set(['new']));
      // The writer is still open: only what may be new is looked at.
      expect((await log.explain()).visited).toBeLessThanOrEqual(600);
      log.statements.length = 0;
      expect(await log.names(to, end)).toEqual(['old']);
      for (const statement of log.statements.filter((text) => text.includes('found'))) {
        expect((await log.explain(statement)).visited).toBeLessThanOrEqual(600);
      }
    });
  });

  test('a batch in the middle of a long backlog is not looked for beyond its end', async () => {
    await log.bulk(100);
    const first = await log.tick();
    await log.bulk(300);
    const second = await log.tick();
    await log.bulk(30_000);
    await log.tick();
    await bothWays(async () => {
      expect(await log.names(first.snapshot, second.snapshot)).toHaveLength(300);
      expect((await log.explain()).visited).toBeLessThanOrEqual(500);
    });
  });

  test('a reader that has everything asks the outbox nothing; one that has nearly everything, next to nothing', async () => {
    await log.bulk(20_000);
    await log.tick();
    const from = await log.now();
    log.statements.length = 0;
    expect(await log.names(from, from)).toEqual([]);
    expect(log.statements).toEqual([]);
    await log.emit('one');
    const state = { snapshot: from, batch: null, floorSeq: 0n, adoption: null };
    await bothWays(async () => {
      expect(await log.reader().countUnread(state, { signal })).toBe(1);
      const counted = log.lastSent('count(*)');
      expect((await log.explain(counted)).visited).toBeLessThanOrEqual(10);
    });
  });

  test('of 60 days behind and 50 partitions ahead, only the days of the batch are read', async () => {
    const start = Math.floor(Date.now() / dayMs) * dayMs;
    const day = (ago: number): string => new Date(start - ago * dayMs).toISOString();
    await log.sql.query('alter table event_runtime.outbox detach partition event_runtime.outbox_underflow');
    await log.sql.query('drop table event_runtime.outbox_underflow');
    for (let ago = 60; ago > 0; ago -= 1) {
      await log.sql.query(`select event_runtime.partition_create('outbox', $1, $2)`, [
        day(ago),
        day(ago - 1),
      ]);
    }
    await log.sql.query(`select event_runtime.partition_create('outbox', '-infinity', $1)`, [day(60)]);
    // One event a day, each in a transaction of its own with a tick behind it, at noon of its day.
    const ticks: Snapshot[] = [];
    for (let ago = 60; ago >= 0; ago -= 1) {
      const at = new Date(start - ago * dayMs + dayMs / 2 - (ago === 0 ? dayMs / 2 : 0)).toISOString();
      await log.sql.query(
        `insert into event_runtime.outbox (event_id, tenant_id, event_type, payload, recorded_at)
         values (gen_random_uuid(), 'acme', $1, '1', $2)`,
        [`day ${ago}`, at],
      );
      const { xid, snapshot } = await log.tick();
      await log.sql.query('update event_runtime.tick set at = $1 where xid = $2::xid8', [at, xid.toString()]);
      ticks.push(snapshot);
    }
    const [from, to] = [ticks.at(-2), ticks.at(-1)];
    if (from === undefined || to === undefined) throw new Error('no ticks');
    expect(await log.names(from, to)).toEqual(['day 0']);
    const { tables } = await log.explain();
    expect(tables.size).toBeLessThanOrEqual(4);
    expect(tables.has(partitionOf(start))).toBe(true);
    // Long ago as well, and as a whole.
    expect(await log.names(ticks[9] as Snapshot, ticks[10] as Snapshot)).toEqual(['day 50']);
    expect(await log.names(Snapshot.nothing, to)).toHaveLength(61);
  });

  test('without any tick everything is looked at, and found', async () => {
    const from = await log.now();
    const late = await log.open('late');
    await log.bulk(10);
    const middle = await log.now();
    await late.query('commit');
    await log.bulk(10);
    expect(await log.names(from, middle)).toHaveLength(10);
    expect(await log.names(middle, await log.now())).toEqual([
      'late',
      ...Array.from({ length: 10 }, () => 'bulk'),
    ]);
    const state = { snapshot: middle, batch: null, floorSeq: 0n, adoption: null };
    expect(await log.reader().countUnread(state, { signal })).toBe(11);
  });

  test('events that were recorded by a clock that ran ahead are read, from whatever partition', async () => {
    await log.emit('now');
    await log.tick();
    const from = await log.now();
    for (const [name, recordedAt] of [
      ['tomorrow', 3],
      ['in ten years', 3_650],
    ] as const) {
      await log.sql.query(
        `insert into event_runtime.outbox (event_id, tenant_id, event_type, payload, recorded_at)
         values (gen_random_uuid(), 'acme', $1, '1', now() + make_interval(days => $2))`,
        [name, recordedAt],
      );
    }
    expect(await log.names(from, await log.now())).toEqual(['tomorrow', 'in ten years']);
  });
});
