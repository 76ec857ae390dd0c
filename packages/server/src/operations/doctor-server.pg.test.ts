import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EmbeddedPostgres } from '../../../runtime/src/testing/embedded-postgres.ts';
import { fewDays } from '../../../runtime/src/testing/migrated-database.ts';
import { ownServer } from '../../../runtime/src/testing/own-server.suite.ts';
import { eventually } from '../eventually.suite.ts';
import { found, OperationsFixture } from './operations-fixture.suite.ts';

/** What concerns a whole server is made to fail on servers of our own. */
describe.each([
  ['15', 'embedded-postgres-15'],
  ['18', 'embedded-postgres'],
] as const)('PostgreSQL %s', (version, binaries) => {
  let server: EmbeddedPostgres;
  beforeAll(async () => {
    server = await ownServer(binaries, { max_replication_slots: '2', max_wal_senders: '2' });
  });
  afterAll(async () => {
    await server.stop();
  });

  test('an unlimited bound fails, and its fix mends it', async () => {
    await using fixture = await OperationsFixture.create(server.url, { from: fewDays });
    const unlimited = found(await fixture.doctor(), 'ER1203');
    expect(unlimited).toMatchObject({ state: 'fail', seen: '-1 (unlimited)' });
    for (const statement of unlimited.fix!.split(';').filter((part) => part.trim() !== '')) {
      await fixture.sql.query(statement);
    }
    const bound = await eventually(
      async () => found(await fixture.doctor(), 'ER1203'),
      ({ state }) => state === 'ok',
    );
    expect(bound.seen).toBe('20.0 GiB');
  });

  test('no room for another slot', async () => {
    await using fixture = await OperationsFixture.create(server.url, { from: fewDays });
    expect(found(await fixture.doctor(), 'ER1301').state).toBe('ok');
    for (const name of ['left_1', 'left_2']) {
      await fixture.sql.query('select pg_create_physical_replication_slot($1)', [name]);
    }
    expect(found(await fixture.doctor(), 'ER1301')).toMatchObject({
      state: 'fail',
      seen: expect.stringMatching(/^2 of 2 slots/),
    });
    await fixture.sql.query("select pg_drop_replication_slot('left_' || n) from generate_series(1, 2) n");
    expect(found(await fixture.doctor(), 'ER1301').state).toBe('ok');
  });

  test('a slot whose WAL runs out: a warning, then lost', async () => {
    await using fixture = await OperationsFixture.create(server.url, { from: fewDays });
    await fixture.sql.query("alter system set max_slot_wal_keep_size = '160MB'");
    await fixture.sql.query('select pg_reload_conf()');
    await fixture.sql.query('select pg_create_logical_replication_slot($1, $2)', [fixture.name, 'pgoutput']);
    await eventually(
      async () => found(await fixture.doctor(), 'ER1305'),
      ({ state }) => state === 'ok',
    );
    const states = ['ok'];
    for (let segments = 0; segments < 40 && states.at(-1) !== 'fail'; segments += 1) {
      // A statement of its own each: a switch without anything written before does nothing.
      await fixture.sql.query("select pg_logical_emit_message(false, 'x', 'x')");
      await fixture.sql.query('select pg_switch_wal()');
      const { state } = found(await fixture.doctor(), 'ER1305');
      if (state !== states.at(-1)) states.push(state);
    }
    expect(states).toEqual(['ok', 'warn', 'fail']);
    await fixture.sql.query('checkpoint');
    expect(found(await fixture.doctor(), 'ER1202')).toMatchObject({
      state: 'fail',
      seen: expect.stringMatching(/^lost/),
    });
    expect((await fixture.run(['slot', '--json'])).json()).toMatchObject({ condition: 'lost' });
  });

  test('slots that are idle are given up, from 18 on: a warning with what switches it off', async () => {
    await using fixture = await OperationsFixture.create(server.url, { from: fewDays });
    if (version === '15') {
      expect((await fixture.doctor()).map(({ code }) => code)).not.toContain('ER1306');
      return;
    }
    expect(found(await fixture.doctor(), 'ER1306').state).toBe('ok');
    await fixture.sql.query("alter system set idle_replication_slot_timeout = '1h'");
    await fixture.sql.query('select pg_reload_conf()');
    const set = await eventually(
      async () => found(await fixture.doctor(), 'ER1306'),
      ({ state }) => state === 'warn',
    );
    expect(set).toMatchObject({ seen: '60 min', fix: expect.stringContaining("= '0'") });
    await fixture.sql.query('alter system reset idle_replication_slot_timeout');
    await fixture.sql.query('select pg_reload_conf()');
  });

  test('wal_level', async () => {
    const minimal = await ownServer(binaries, { wal_level: 'replica' });
    try {
      await using fixture = await OperationsFixture.create(minimal.url, { from: fewDays });
      const checks = await fixture.doctor();
      expect(found(checks, 'ER1002')).toMatchObject({
        state: 'fail',
        seen: 'replica',
        fix: expect.stringContaining("ALTER SYSTEM SET wal_level = 'logical';"),
      });
      const refused = await fixture.run(['slot', 'create']);
      expect(refused.notes).toMatch(
        /ER1002[\s\S]*→ Run `ALTER SYSTEM SET wal_level = 'logical';` and restart/,
      );
      const polled = await fixture.doctor({ settings: { ...fixture.settings, source: 'table' } });
      expect(polled.map(({ code }) => code)).not.toContain('ER1002');
      expect(polled.map(({ code }) => code)).not.toContain('ER1202');
    } finally {
      await minimal.stop();
    }
  });

  test('a standby is named, and says nothing of what is unread', async () => {
    await using fixture = await OperationsFixture.create(server.url, { from: fewDays });
    await fixture.sql.query(
      `insert into event_runtime.relay_checkpoint (relay, sink, epoch, system_identifier, timeline, snapshot)
       select $1, 'memory', 1, system_identifier::text, 1, '3:3:' from pg_control_system()`,
      [fixture.name],
    );
    await fixture.emit(2);
    const standby = await server.standby({ slot: 'doctor_standby' });
    try {
      const url = new URL(fixture.database.url);
      url.port = String(standby.port);
      fixture.url = url.href;
      const checks = await eventually(
        () => fixture.doctor(),
        (each) => each.some(({ code }) => code === 'ER1312'),
      );
      expect(found(checks, 'ER1208')).toMatchObject({ state: 'fail', seen: 'the server is a standby' });
      expect(checks.map(({ code }) => code)).not.toContain('ER1316');
      const status = await fixture.run(['status', '--json']);
      expect(status.code).toBe(3);
      expect(status.json()).toMatchObject({
        report: {
          server: { inRecovery: true },
          sinks: [{ sink: 'memory', unreadEvents: null, positionLagBytes: null }],
        },
      });
      expect((await fixture.run(['status'])).out).toContain('ER1208');
    } finally {
      await standby.stop();
      await eventually(
        () =>
          fixture.sql.query("select from pg_replication_slots where slot_name = 'doctor_standby' and active"),
        ({ rows }) => rows.length === 0,
      );
      await fixture.sql.query("select pg_drop_replication_slot('doctor_standby')");
    }
  });

  test('a pooler in the way is named', async () => {
    await using fixture = await OperationsFixture.create(server.url, { from: fewDays });
    await using pooler = await disguisedPid(new URL(fixture.database.url));
    const url = new URL(fixture.database.url);
    url.port = String(pooler.port);
    const checks = await fixture.doctor({ settings: { ...fixture.settings, connectionString: url.href } });
    expect(checks).toHaveLength(1);
    const fix = expect.stringContaining('Set DATABASE_URL to PostgreSQL itself');
    expect(checks[0]).toMatchObject({ code: 'ER1004', state: 'fail', fix });
    fixture.url = url.href;
    expect(await fixture.run(['doctor'])).toMatchObject({ code: 3, out: expect.stringContaining('ER1004') });
    expect((await fixture.run(['migrate'])).notes).toMatch(
      /ER1004[\s\S]*→ Set DATABASE_URL to PostgreSQL itself/,
    );
  });
});

/** What tells a pooler: the process id that it announces is none of the server's. */
async function disguisedPid(target: URL): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<Socket>();
  const proxy = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
    }
    client.pipe(upstream);
    upstream.on('data', (chunk: Buffer) => {
      // BackendKeyData: K, length 12, process id.
      const at = chunk.indexOf(Buffer.from([0x4b, 0, 0, 0, 12]));
      if (at >= 0) chunk.writeInt32BE(1, at + 5);
      client.write(chunk);
    });
    upstream.on('end', () => client.end());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return {
    port: (proxy.address() as { port: number }).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      proxy.close();
      await once(proxy, 'close');
    },
  };
}

test('the disguise is what makes it a pooler', async () => {
  await using server = await ownServer('embedded-postgres');
  await using proxy = await disguisedPid(new URL(server.url));
  const url = new URL(server.url);
  url.port = String(proxy.port);
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  await expect(client.query('select 1 as one')).resolves.toMatchObject({ rows: [{ one: 1 }] });
  await client.end();
});
