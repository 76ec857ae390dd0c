import { FaultProxy } from '@event-runtime/simulators';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import type { EmbeddedPostgres } from '../testing/embedded-postgres.ts';
import { ownServer } from '../testing/own-server.suite.ts';
import { createTestDatabase } from '../testing/test-database.ts';
import { toLsn } from './lsn.ts';
import { ReplicationConnection } from './replication-connection.ts';
import { openReplicationStream } from './replication-stream.ts';
import { createSlot, describeSlot, dropSlot, isLost, type SqlClient, terminateReader } from './slot.ts';
import { eventually, StreamFixture, TransactionReader } from './stream-fixture.suite.ts';

describe.each(['15', '18'] as const)('a slot of PostgreSQL %s', (major) => {
  let fixture: StreamFixture;
  let sql: pg.Client;
  let slot: string;

  beforeEach(async () => {
    fixture = await StreamFixture.create(inject('postgres')[major]);
    ({ sql, slot } = fixture);
  });

  afterEach(async () => {
    await fixture[Symbol.asyncDispose]();
  });

  test('is made once, also by two at a time', async () => {
    expect(await createSlot(sql, { slot })).toBe(false);
    const [first, second] = [await fixture.connect(), await fixture.connect()];
    const made = await Promise.all([first, second].map((one) => createSlot(one, { slot: `${slot}_twice` })));
    expect(made.filter(Boolean)).toHaveLength(1);
    await Promise.all([first.end(), second.end()]);
  });

  test('is described, at rest and while it is read', async () => {
    const rest = await describeSlot(sql, slot);
    expect(rest).toMatchObject({
      slot,
      database: fixture.database.name,
      plugin: 'pgoutput',
      temporary: false,
      active: false,
      activePid: null,
      walStatus: 'reserved',
      invalidationReason: null,
    });
    expect(rest?.restartLsn).toBeGreaterThan(0n);
    expect(rest?.confirmedFlushLsn).toBeGreaterThanOrEqual(rest?.restartLsn ?? 0n);
    // The test clusters have a limit; the number is what is left of it.
    expect(rest?.safeWalBytes).toBeGreaterThan(1_000_000n);
    expect(await describeSlot(sql, 'no_such_slot')).toBeUndefined();

    await using stream = await fixture.open();
    expect(stream.identity.systemIdentifier).toMatch(/^\d+$/);
    const read = await describeSlot(sql, slot);
    expect(read?.active).toBe(true);
    expect(read?.activePid).toBeGreaterThan(0);
  });

  test('is dropped once, and a missing one is no error', async () => {
    expect(await dropSlot(sql, { slot })).toBe(true);
    expect(await dropSlot(sql, { slot })).toBe(false);
    expect(await describeSlot(sql, slot)).toBeUndefined();
  });

  test('is not dropped, nor its reader ended, by whoever looked at one that is no more', async () => {
    await using stream = await fixture.open();
    const { activePid, restartLsn } = (await describeSlot(sql, slot)) ?? {};
    const elsewhere = toLsn((restartLsn ?? 0n) + 1n);
    expect(await dropSlot(sql, { slot, onlyIfLost: true, terminateReader: true })).toBe(false);
    expect(await dropSlot(sql, { slot, onlyAt: elsewhere, terminateReader: true })).toBe(false);
    expect(await terminateReader(sql, { slot, onlyAt: elsewhere })).toBe(false);
    expect(await terminateReader(sql, { slot, onlyIfLost: true })).toBe(false);
    expect(await terminateReader(sql, { slot, pid: activePid ?? 0, onlyIfLost: true })).toBe(false);
    expect(await terminateReader(sql, { slot, pid: (activePid ?? 0) + 1 })).toBe(false);
    await sql.query(`insert into item values (1, 'undisturbed')`);
    expect((await new TransactionReader(stream).next()).texts).toEqual(['undisturbed']);
    expect(await terminateReader(sql, { slot, pid: activePid ?? 0 })).toBe(true);
    const onlyAt = (await describeSlot(sql, slot))?.restartLsn ?? toLsn(0n);
    expect(await dropSlot(sql, { slot, onlyAt })).toBe(true);
  });

  test('is not dropped, nor its reader ended, when it was made between two attempts to drop a lost one', async () => {
    await using stream = await fixture.open();
    const asked: string[] = [];
    // The first attempt finds the lost one in use by whoever is about to drop it; then this one stands in its place.
    const client: SqlClient = {
      async query(text) {
        asked.push(text);
        if (asked.length === 1) throw Object.assign(new Error('it is active'), { code: '55006' });
        return await sql.query(text);
      },
    };
    expect(await dropSlot(client, { slot, onlyIfLost: true, terminateReader: true })).toBe(false);
    expect(asked).toHaveLength(3);
    expect(asked[1]).toContain('pg_terminate_backend');
    await sql.query(`insert into item values (1, 'undisturbed')`);
    expect((await new TransactionReader(stream).next()).texts).toEqual(['undisturbed']);
    expect(await describeSlot(sql, slot)).toMatchObject({ active: true });
  });

  test('is not dropped from under its reader, unless told to', async () => {
    await using stream = await fixture.open();
    await expect(dropSlot(sql, { slot, timeoutMs: 50 })).rejects.toMatchObject({ code: 'ER1201' });
    await sql.query(`insert into item values (1, 'undisturbed')`);
    const reader = new TransactionReader(stream);
    expect((await reader.next()).texts).toEqual(['undisturbed']);

    await Promise.all([
      expect(reader.next()).rejects.toMatchObject({ code: 'ER3004' }),
      expect(dropSlot(sql, { slot, terminateReader: true })).resolves.toBe(true),
    ]);
  });

  test('is dropped from under a reader that stands still, which must not be terminated', async () => {
    await sql.query(`insert into item select n, repeat(md5(n::text), 100) from generate_series(1, 6000) n`);
    await using proxy = await FaultProxy.start({ target: new URL(fixture.database.url) });
    const connectionString = proxy.url(fixture.database.url);
    await using stream = await fixture.open({ connectionString, walSenderTimeoutMs: 1_500 });
    await stream[Symbol.asyncIterator]().next();
    proxy.stall();
    await eventually(
      async () => {
        const { rows } = await sql.query<{ event: string | null }>(
          `select a.wait_event as event from pg_stat_activity a
           join pg_replication_slots s on s.active_pid = a.pid where s.slot_name = $1`,
          [slot],
        );
        return rows[0]?.event;
      },
      (event) => event === 'WalSenderWriteData',
    );
    expect(await terminateReader(sql, { slot })).toBe(false);
    expect(await dropSlot(sql, { slot, terminateReader: true })).toBe(true);
  });

  test('is dropped as soon as its reader has gone', async () => {
    const stream = await fixture.open();
    const dropping = dropSlot(sql, { slot });
    await stream[Symbol.asyncDispose]();
    expect(await dropping).toBe(true);
  });

  test('waiting for a slot ends with the signal', async () => {
    await using stream = await fixture.open();
    expect(stream.acker.inFlight).toBe(0);
    const reason = new Error('changed my mind');
    const stop = new AbortController();
    const dropping = dropSlot(sql, { slot, signal: stop.signal });
    stop.abort(reason);
    await expect(dropping).rejects.toSatisfy(
      (cause) => cause === reason || (cause as Error).name === 'AbortError',
    );
  });

  test('of a database that is not UTF8 is refused with ER1005', async () => {
    await sql.query(`create database ${fixture.database.name}_latin1 template template0 encoding 'LATIN1'`);
    const url = new URL(fixture.database.url);
    url.pathname += '_latin1';
    await expect(ReplicationConnection.open({ connectionString: url.href })).rejects.toMatchObject({
      code: 'ER1005',
    });
    await sql.query(`drop database ${fixture.database.name}_latin1 with (force)`);
  });
});

/** Writes WAL until the server has removed what the slot needs; of a cluster that keeps little. */
async function lose({ sql, slot }: StreamFixture): Promise<void> {
  await eventually(
    async () => {
      await sql.query('create table filler (id int); drop table filler; select pg_switch_wal(); checkpoint');
      return await describeSlot(sql, slot);
    },
    (state) => state !== undefined && isLost(state),
  );
}

describe.each(['embedded-postgres-15', 'embedded-postgres'] as const)('a cluster of %s', (binaries) => {
  let server: EmbeddedPostgres;

  beforeAll(async () => {
    server = await ownServer(binaries, {
      fsync: 'off',
      max_slot_wal_keep_size: '1MB',
      min_wal_size: '32MB',
      max_wal_size: '32MB',
    });
  });

  afterAll(async () => {
    await server.stop();
  });

  test('that removed the WAL a slot needs: the slot says so, and is ER1202', async () => {
    await using fixture = await StreamFixture.create(server.url);
    const { sql, slot } = fixture;
    await lose(fixture);
    const state = await describeSlot(sql, slot);
    expect(state?.restartLsn === null || binaries === 'embedded-postgres').toBe(true);
    if (binaries === 'embedded-postgres') expect(state?.invalidationReason).toBe('wal_removed');
    await expect(fixture.open()).rejects.toMatchObject({ code: 'ER1202', retryable: false });
    expect(await dropSlot(sql, { slot })).toBe(true);
  });

  test('a lost slot is dropped where only that is asked, by one of two; the one that is made next is not', async () => {
    await using fixture = await StreamFixture.create(server.url);
    const { sql, slot } = fixture;
    const onlyLost = { slot, onlyIfLost: true, terminateReader: true };
    expect(await dropSlot(sql, onlyLost)).toBe(false);
    await lose(fixture);
    expect(await terminateReader(sql, { slot, onlyIfLost: true })).toBe(false);
    const other = await fixture.connect();
    // Without ending the one that holds it: that is the other of the two.
    const dropped = await Promise.all([sql, other].map((one) => dropSlot(one, { slot, onlyIfLost: true })));
    expect(dropped.filter(Boolean)).toHaveLength(1);
    expect(await describeSlot(sql, slot)).toBeUndefined();

    await createSlot(sql, { slot });
    await using stream = await fixture.open();
    const late = await Promise.all([dropSlot(sql, onlyLost), dropSlot(other, onlyLost)]);
    expect(late).toEqual([false, false]);
    await sql.query(`insert into item values (1, 'undisturbed')`);
    expect((await new TransactionReader(stream).next()).texts).toEqual(['undisturbed']);
    await other.end();
  });

  test('that removes it while the slot is read: the stream ends with ER1202 or ER3004, opening again with ER1202', async () => {
    await using fixture = await StreamFixture.create(server.url);
    const { sql } = fixture;
    await using stream = await fixture.open();
    const reading = new TransactionReader(stream).next();
    // Nothing is in flight, so keepalives would move the slot on: a transaction that is never settled holds it.
    await sql.query(`insert into item values (1, 'never settled')`);
    const { texts } = await reading;
    expect(texts).toEqual(['never settled']);
    const next = new TransactionReader(stream).next();
    next.catch(() => undefined);
    await lose(fixture);
    await expect(next).rejects.toMatchObject({ code: expect.stringMatching(/^(ER1202|ER3004)$/) });
    await expect(fixture.open()).rejects.toMatchObject({ code: 'ER1202' });
  });

  test('without wal_level = logical is refused with ER1002', async () => {
    await using plain = await ownServer(binaries, { fsync: 'off', wal_level: 'replica' });
    await expect(
      openReplicationStream({ connectionString: plain.url, slot: 's', publication: 'p' }),
    ).rejects.toMatchObject({ code: 'ER1002' });
  });

  test('that crashes ends the stream with ER3004; after recovery all that was not settled comes again', async () => {
    await using own = await ownServer(binaries);
    const database = await createTestDatabase(own.url);
    const client = new pg.Client({ connectionString: database.url });
    client.on('error', () => undefined);
    await client.connect();
    await client.query('create table item (id int primary key, body text)');
    await client.query('create publication p for table item');
    await createSlot(client, { slot: 's' });
    await client.query(`insert into item values (1, 'settled'), (2, 'settled')`);
    await client.query(`insert into item values (3, 'in flight')`);
    const options = { connectionString: database.url, slot: 's', publication: 'p' };
    {
      await using stream = await openReplicationStream(options);
      const reader = new TransactionReader(stream);
      const [first] = await reader.take(2);
      if (first !== undefined) stream.acker.settle(first.commit.ticket);
      const reading = reader.next();
      await Promise.all([expect(reading).rejects.toMatchObject({ code: 'ER3004' }), own.kill()]);
    }
    await own.resume();
    await using stream = await openReplicationStream(options);
    const reader = new TransactionReader(stream);
    let texts = (await reader.next()).texts;
    // Whether the server wrote down what we confirmed is its own affair; then it comes again.
    if (texts[0] === 'settled') texts = (await reader.next()).texts;
    expect(texts).toEqual(['in flight']);
  });
});
