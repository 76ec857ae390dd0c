import { FaultProxy } from '@event-runtime/simulators';
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { describeSlot } from './slot.ts';
import { eventually, StreamFixture, TransactionReader } from './stream-fixture.suite.ts';

describe.each(['15', '18'] as const)('the end of a replication stream of PostgreSQL %s', (major) => {
  let fixture: StreamFixture;
  let sql: pg.Client;

  beforeEach(async () => {
    fixture = await StreamFixture.create(inject('postgres')[major]);
    sql = fixture.sql;
  });

  afterEach(async () => {
    await fixture[Symbol.asyncDispose]();
  });

  test('the connection is killed: ER3004, and everything comes again on the next one', async () => {
    await sql.query(`insert into item values (1, 'again')`);
    {
      await using stream = await fixture.open();
      const reader = new TransactionReader(stream);
      await reader.next();
      await Promise.all([
        expect(reader.next()).rejects.toMatchObject({ code: 'ER3004', retryable: true }),
        sql.query('select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1', [
          fixture.slot,
        ]),
      ]);
    }
    await fixture.slotIsFree();
    await using stream = await fixture.open();
    expect((await new TransactionReader(stream).next()).texts).toEqual(['again']);
  });

  test('the server falls silent: ER3004, without waiting for TCP', async () => {
    await using proxy = await FaultProxy.start({ target: new URL(fixture.database.url) });
    const connectionString = proxy.url(fixture.database.url);
    await using stream = await fixture.open({ connectionString, walSenderTimeoutMs: 600 });
    const waiting = new TransactionReader(stream).next();
    proxy.swallow({ direction: 'toClient' });
    await expect(waiting).rejects.toMatchObject({ code: 'ER3004' });
  });

  test('a second reader is refused with ER1201 and the first goes on', async () => {
    await using stream = await fixture.open();
    const reader = new TransactionReader(stream);
    await expect(fixture.open()).rejects.toMatchObject({ code: 'ER1201', retryable: true });
    await sql.query(`insert into item values (1, 'still here')`);
    expect((await reader.next()).texts).toEqual(['still here']);
  });

  test('disposing in full flow closes the connection, frees the slot and reports the last position', async () => {
    await sql.query(`insert into item values (1, 'settled')`);
    await sql.query(`insert into item select n, repeat('x', 1000) from generate_series(2, 30000) n`);
    const stream = await fixture.open({ statusIntervalMs: 4_000, maxBufferedBytes: 100_000 });
    const first = await new TransactionReader(stream).next();
    stream.acker.settle(first.commit.ticket);
    await stream[Symbol.asyncDispose]();
    await fixture.slotIsFree();
    expect(await fixture.confirmedFlush()).toBeGreaterThanOrEqual(first.commit.endLsn);
  });

  test('the signal ends the iterator cleanly', async () => {
    const stop = new AbortController();
    await using stream = await fixture.open({ signal: stop.signal });
    const reading = (async () => {
      for await (const _ of stream);
      return 'done';
    })();
    stop.abort();
    expect(await reading).toBe('done');
    await stream[Symbol.asyncDispose]();
    await fixture.slotIsFree();
  });

  test('the signal ends the opening, with its reason', async () => {
    const reason = new Error('changed my mind');
    await expect(fixture.open({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    // A temporary slot is made on the connection itself and waits for open transactions.
    await sql.query('begin');
    await sql.query(`insert into item values (1, 'open')`);
    const stop = new AbortController();
    const opening = fixture.open({ slot: `${fixture.slot}_waits`, temporarySlot: true, signal: stop.signal });
    const other = await fixture.connect();
    await eventually(
      async () => {
        const { rows } = await other.query<{ waits: boolean }>(
          `select count(*) = 1 as waits from pg_stat_activity
           where datname = current_database() and backend_type = 'walsender' and wait_event_type = 'Lock'`,
        );
        return rows[0]?.waits;
      },
      (waits) => waits ?? false,
    );
    stop.abort(reason);
    await expect(opening).rejects.toBe(reason);
    await sql.query('commit');
    await other.end();
  });

  test('a temporary slot is gone with its stream', async () => {
    const stream = await fixture.open({ slot: `${fixture.slot}_temporary`, temporarySlot: true });
    await sql.query(`insert into item values (1, 'temporary')`);
    expect((await new TransactionReader(stream).next()).texts).toEqual(['temporary']);
    await stream[Symbol.asyncDispose]();
    await eventually(
      () => describeSlot(sql, `${fixture.slot}_temporary`),
      (state) => state === undefined,
    );
  });

  test('what is missing has a code', async () => {
    await expect(fixture.open({ slot: 'no_such_slot' })).rejects.toMatchObject({ code: 'ER1202' });
    await expect(fixture.open({ publication: 'No "such' })).rejects.toMatchObject({ code: 'ER1204' });
    await sql.query(`create role reader_${fixture.database.name} login password 'x'`);
    await expect(
      fixture.open({ connectionString: fixture.database.urlFor(`reader_${fixture.database.name}`, 'x') }),
    ).rejects.toMatchObject({ code: 'ER1003' });
    await expect(
      fixture.open({ connectionString: fixture.database.urlFor(`reader_${fixture.database.name}`, 'wrong') }),
    ).rejects.toMatchObject({ code: 'ER1001' });
    await sql.query(`drop role reader_${fixture.database.name}`);
    await expect(fixture.open({ connectionString: 'postgres://x:y@127.0.0.1:1/z' })).rejects.toMatchObject({
      code: 'ER1001',
    });
  });
});
