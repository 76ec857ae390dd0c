import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import type { Ticket } from './acker.ts';
import { type Lsn, parseLsn, zeroLsn } from './lsn.ts';
import type { ReplicationStream, StreamMessage } from './replication-stream.ts';
import {
  eventually,
  flat,
  StreamFixture,
  type Transaction,
  TransactionReader,
} from './stream-fixture.suite.ts';

async function firstOf<K extends StreamMessage['kind']>(
  stream: ReplicationStream,
  kind: K,
): Promise<Extract<StreamMessage, { kind: K }>> {
  for await (const message of flat(stream)) {
    if (message.kind === kind) return message as Extract<StreamMessage, { kind: K }>;
  }
  throw new Error('the stream ended');
}

function ticketOf(transactions: readonly Transaction[], index: number): Ticket {
  const one = transactions[index];
  if (one === undefined) throw new Error(`no transaction ${index}`);
  return one.commit.ticket;
}

/** Runs the statements in one transaction. @returns its id, as it is in the stream */
async function transaction(client: pg.Client, ...statements: string[]): Promise<number> {
  await client.query('begin');
  for (const statement of statements) await client.query(statement);
  const xid = await xidOf(client);
  await client.query('commit');
  return xid;
}

async function xidOf(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ xid: string }>(
    'select (pg_current_xact_id()::text::bigint % 4294967296)::text as xid',
  );
  return Number(rows[0]?.xid);
}

describe.each(['15', '18'] as const)('a replication stream of PostgreSQL %s', (major) => {
  let fixture: StreamFixture;
  let sql: pg.Client;

  beforeEach(async () => {
    fixture = await StreamFixture.create(inject('postgres')[major]);
    sql = fixture.sql;
  });

  afterEach(async () => {
    await fixture[Symbol.asyncDispose]();
  });

  const confirmedFlush = (): Promise<bigint> => fixture.confirmedFlush();

  test('what was committed arrives once, in commit order, with its transaction and its bytes', async () => {
    const bodies = ['plain', 'ção 🦀 \\ \u0001', '', '{"n": 1.0, "n":  9007199254740993}'];
    const [first, second] = [await fixture.connect(), await fixture.connect()];
    const before = await fixture.walPosition();
    // The first to begin and to write is the last to commit.
    await first.query('begin');
    await first.query('insert into item values (1, $1)', [bodies[0]]);
    const late = await xidOf(first);
    const early = await transaction(second, 'insert into item values (2, null)');
    await transaction(second, 'insert into unpublished values (1)');
    await second.query('begin');
    await second.query(`insert into item values (3, 'rolled back')`);
    await second.query('rollback');
    await second.query('begin');
    await second.query('insert into item values (4, $1)', [bodies[1]]);
    await second.query('savepoint s');
    await second.query(`insert into item values (5, 'rolled back')`);
    await second.query('rollback to s');
    await second.query('savepoint kept');
    await second.query('insert into item values (6, $1), (7, $2)', [bodies[2], bodies[3]]);
    const middle = await xidOf(second);
    await second.query('commit');
    await first.query('commit');
    const after = await fixture.walPosition();
    await Promise.all([first.end(), second.end()]);

    await using stream = await fixture.open();
    const reader = new TransactionReader(stream);
    const transactions = await reader.take(3);
    expect(transactions.map((one) => [one.xid, one.texts])).toEqual([
      [early, [null]],
      [middle, bodies.slice(1)],
      [late, bodies.slice(0, 1)],
    ]);
    let position: bigint = before;
    for (const { finalLsn, commit } of transactions) {
      expect(finalLsn).toBe(commit.commitLsn);
      expect(commit.commitLsn).toBeGreaterThanOrEqual(position);
      expect(commit.endLsn).toBeGreaterThan(commit.commitLsn);
      position = commit.endLsn;
      expect(Math.abs(commit.committedAt - Date.now())).toBeLessThan(60_000);
    }
    expect(after).toBeGreaterThanOrEqual(position);
    // Nothing more: the next thing that comes is the next thing that is written.
    const next = await transaction(sql, `insert into item values (8, 'next')`);
    expect((await reader.next()).xid).toBe(next);
  });

  test('what was not settled comes again, what was settled does not', async () => {
    for (let id = 1; id <= 6; id += 1) await sql.query(`insert into item values (${id}, 'body ${id}')`);
    const texts = (all: readonly Transaction[]): unknown[] => all.map((one) => one.texts[0]);
    {
      await using stream = await fixture.open();
      const transactions = await new TransactionReader(stream).take(6);
      // 3 is missing: 4 must not be confirmed over it.
      for (const index of [0, 1, 3]) stream.acker.settle(ticketOf(transactions, index));
    }
    {
      await using stream = await fixture.open();
      const transactions = await new TransactionReader(stream).take(4);
      expect(texts(transactions)).toEqual(['body 3', 'body 4', 'body 5', 'body 6']);
    }
    {
      await using stream = await fixture.open();
      const reader = new TransactionReader(stream);
      const transactions = await reader.take(4);
      expect(texts(transactions)).toEqual(['body 3', 'body 4', 'body 5', 'body 6']);
      for (const one of transactions) stream.acker.settle(one.commit.ticket);
    }
    await using stream = await fixture.open();
    await sql.query(`insert into item values (7, 'body 7')`);
    expect(texts(await new TransactionReader(stream).take(1))).toEqual(['body 7']);
  });

  test('startLsn leaves out what ended before it', async () => {
    for (let id = 1; id <= 3; id += 1) await sql.query(`insert into item values (${id}, 'body ${id}')`);
    let startLsn: Lsn;
    {
      await using stream = await fixture.open();
      const [, second] = await new TransactionReader(stream).take(2);
      startLsn = second?.commit.endLsn ?? zeroLsn;
    }
    await using stream = await fixture.open({ startLsn });
    expect((await new TransactionReader(stream).next()).texts).toEqual(['body 3']);
  });

  test('a consumer that lags keeps its connection, and holds no more than its bound', async () => {
    const rows = 4_000;
    await sql.query(
      `insert into item select n, repeat(md5(n::text), 160) from generate_series(1, ${rows}) n`,
    );
    const maxBufferedBytes = 100_000;
    const walSenderTimeoutMs = 8_000;
    await using stream = await fixture.open({
      walSenderTimeoutMs,
      maxBufferedBytes,
      statusIntervalMs: 10_000,
    });
    const messages = flat(stream);
    await messages.next();
    // Time itself is what is tested here: twice the server's patience.
    await sleep(2 * walSenderTimeoutMs);
    expect(stream.bufferedBytes).toBeGreaterThan(0);
    expect(stream.bufferedBytes).toBeLessThan(maxBufferedBytes + 65_537);
    let inserts = 0;
    for await (const message of messages) {
      if (message.kind === 'insert') inserts += 1;
      if (message.kind === 'commit') break;
    }
    expect(inserts).toBe(rows);
  });

  test('an idle database is confirmed by keepalives, but never past what is in flight', async () => {
    await using stream = await fixture.open();
    await sql.query('insert into unpublished select generate_series(1, 10000)');
    const idle = await fixture.walPosition();
    await eventually(confirmedFlush, (lsn) => lsn >= idle);

    await sql.query(`insert into item values (1, 'in flight')`);
    const { commit } = await new TransactionReader(stream).next();
    await sql.query('insert into unpublished select generate_series(1, 10000)');
    const beyond = await fixture.walPosition();
    await eventually(
      async () => {
        // In a cluster with others the WAL may have ended in the middle of a record, which nobody may end.
        await sql.query('insert into unpublished values (1)');
        return stream.walEnd;
      },
      (lsn) => lsn >= beyond,
    );
    // Statuses that were sent since then would have done the damage by now.
    await sleep(200);
    expect(await fixture.confirmedFlush()).toBeLessThan(commit.endLsn);

    stream.acker.settle(commit.ticket);
    await eventually(confirmedFlush, (lsn) => lsn >= beyond);
  });

  test('the rows of one COPY keep their order, which makes their ordinals', async () => {
    await sql.query(`copy item (id) from program 'seq 1 50'`);
    await using stream = await fixture.open();
    const ids: unknown[] = [];
    for await (const message of flat(stream)) {
      if (message.kind === 'insert') ids.push(message.row.text(0));
      if (message.kind === 'commit') break;
    }
    expect(ids).toEqual(Array.from({ length: 50 }, (_, index) => String(index + 1)));
  });

  test('a value of 5 MB arrives byte for byte, and stays so while more is read', async () => {
    const bodies = [1, 2].map((round) => `${randomBytes(2_621_440).toString('hex')}é🦀 ${round}`);
    await sql.query('insert into item values (1, $1)', [bodies[0]]);
    await sql.query('insert into item values (2, $1)', [bodies[1]]);
    await sql.query(`insert into item select n, repeat('x', 1000) from generate_series(3, 5000) n`);
    await using stream = await fixture.open();
    const kept: (Buffer | null | undefined)[] = [];
    for await (const message of flat(stream)) {
      if (message.kind === 'insert') kept.push(message.row.bytes(1));
      if (kept.length === 4_999) break;
    }
    expect(kept[0]?.equals(Buffer.from(bodies[0] ?? ''))).toBe(true);
    expect(kept[1]?.equals(Buffer.from(bodies[1] ?? ''))).toBe(true);
    expect(kept.slice(2).every((one) => one?.equals(Buffer.alloc(1_000, 'x')) === true)).toBe(true);
  });

  test('texts are written in UTC and ISO, whatever the role prefers', async () => {
    await sql.query(
      `create table moment (id int primary key, at timestamptz, blob bytea, span interval, f float8);
       alter publication p add table moment;
       alter role current_user in database ${fixture.database.name} set timezone = 'Asia/Tokyo';
       alter role current_user in database ${fixture.database.name} set datestyle = 'German, DMY';
       alter role current_user in database ${fixture.database.name} set bytea_output = 'escape';
       alter role current_user in database ${fixture.database.name} set intervalstyle = 'iso_8601';
       alter role current_user in database ${fixture.database.name} set extra_float_digits = -10;
       insert into moment values (1, '2026-11-20 10:00:00.123456+00', '\\x00ff', '1 day', 0.1::float8 + 0.2)`,
    );
    await using stream = await fixture.open();
    for await (const message of flat(stream)) {
      if (message.kind !== 'insert') continue;
      expect([1, 2, 3, 4].map((column) => message.row.text(column))).toEqual([
        '2026-11-20 10:00:00.123456+00',
        '\\x00ff',
        '1 day',
        '0.30000000000000004',
      ]);
      break;
    }
  });

  test('a keepalive comes in its order: behind all that was committed before the position that it names', async () => {
    await using stream = await fixture.open();
    await sql.query("insert into item values (1, 'one')");
    await sql.query('insert into unpublished select generate_series(1, 100)');
    const { rows } = await sql.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn');
    const target = parseLsn(rows[0]?.lsn ?? '');
    let [read, commits] = [zeroLsn, 0];
    for await (const message of flat(stream)) {
      if (message.kind === 'commit') {
        expect(message.endLsn).toBeGreaterThan(read);
        read = message.endLsn;
        commits += 1;
      }
      if (message.kind !== 'keepalive') continue;
      if (message.walEnd > read) read = message.walEnd;
      if (message.walEnd >= target) break;
    }
    expect(commits).toBeGreaterThan(0);
    // What is committed from now on comes behind it.
    await sql.query("insert into item values (2, 'two')");
    expect((await firstOf(stream, 'commit')).commitLsn).toBeGreaterThanOrEqual(target);
  });

  test('logical messages come when asked for', async () => {
    await using stream = await fixture.open({ messages: true });
    await sql.query(`select pg_logical_emit_message(true, 'a prefix', 'content é')`);
    const message = await firstOf(stream, 'message');
    expect([message.transactional, message.prefix, message.content.toString()]).toEqual([
      true,
      'a prefix',
      'content é',
    ]);
  });
});
