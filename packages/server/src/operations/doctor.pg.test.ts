import { readFile } from 'node:fs/promises';
import { migrate } from '@event-runtime/runtime';
import { createTestDatabase } from '@event-runtime/runtime/testing';
import pg from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { eventually } from '../eventually.suite.ts';
import type { Check } from './check.ts';
import { runDoctor } from './doctor.ts';
import { found, OperationsFixture } from './operations-fixture.suite.ts';

/** Each check is made to fail for real, and is seen to pass before or afterwards. */
describe.each(['15', '18'] as const)('PostgreSQL %s', (version) => {
  const create = async (options?: { migrated: boolean }): Promise<OperationsFixture> =>
    await OperationsFixture.create(inject('postgres')[version], options);
  const wrong = (checks: readonly Check[]): string[] =>
    checks.filter(({ state }) => state !== 'ok').map(({ code, state }) => `${code} ${state}`);

  test('all is well with a running relay, and every check is on its page', async () => {
    await using fixture = await create();
    await fixture.live(await fixture.relay());
    const checks = await eventually(
      () => fixture.doctor(),
      (each) => wrong(each).length === 0,
    );
    const codes = checks.map(({ code }) => code);
    for (const code of [
      'ER1001',
      'ER1006',
      'ER1005',
      'ER1002',
      'ER1203',
      'ER1003',
      'ER1301',
      'ER1311',
      'ER1101',
    ]) {
      expect(codes).toContain(code);
    }
    for (const code of [
      'ER1302',
      'ER1303',
      'ER1310',
      'ER1312',
      'ER1202',
      'ER1305',
      'ER1322',
      'ER1316',
      'ER1309',
      'ER1315',
    ]) {
      expect(codes).toContain(code);
    }
    expect(codes.includes('ER1306')).toBe(version === '18');
    const page = await readFile(new URL('../../../../docs/operations/doctor.md', import.meta.url), 'utf8');
    for (const check of checks) expect(page).toContain(`<a id="${check.page.split('#')[1]}"></a>`);
    const ran = await fixture.run(['doctor']);
    expect(ran).toMatchObject({ code: 0, out: expect.stringContaining('All is well.') });
  });

  test('nothing there yet: schema missing fails, exit code 3, the rest is not looked at', async () => {
    await using fixture = await create({ migrated: false });
    const ran = await fixture.run(['doctor', '--json']);
    expect(ran.code).toBe(3);
    const { checks, failed } = ran.json() as { checks: Check[]; failed: number };
    expect(failed).toBe(1);
    expect(found(checks, 'ER1101')).toMatchObject({
      state: 'fail',
      seen: 'there is none',
      fix: expect.stringContaining('event-runtime migrate'),
      page: 'docs/operations/doctor.md#er1101',
    });
    const people = await fixture.run(['doctor']);
    expect(people.out).toMatch(
      /✗ schema {2}there is none {2}ER1101\n.*missing.*\n {4}→ Run `npx event-runtime/,
    );
    await migrate({ connectionString: fixture.database.url });
    expect(wrong(await fixture.doctor())).toEqual(['ER1312 fail', 'ER1202 warn']);
  });

  test('an applied migration that was edited', async () => {
    await using fixture = await create();
    await fixture.sql.query("update event_runtime.schema_migration set checksum = 'x' where number = 2");
    expect(found(await fixture.doctor(), 'ER1103')).toMatchObject({
      state: 'warn',
      seen: expect.stringMatching(/edited: 2$/),
    });
    await fixture.sql.query('delete from event_runtime.schema_migration where number > 4');
    expect(found(await fixture.doctor(), 'ER1101').seen).toMatch(/^version 4, this program brings \d+$/);
    await fixture.sql.query(
      "insert into event_runtime.schema_migration (number, name, checksum, breaking) values (900, 'future', 'x', true)",
    );
    expect(found(await fixture.doctor(), 'ER1102').state).toBe('fail');
  });

  test('the database: not reachable, wrong encoding', async () => {
    await using fixture = await create();
    const gone = new URL(fixture.database.url);
    gone.port = '1';
    const checks = await fixture.doctor({ settings: { ...fixture.settings, connectionString: gone.href } });
    expect(checks).toHaveLength(1);
    expect(checks[0]).toMatchObject({
      code: 'ER1001',
      state: 'fail',
      seen: expect.stringContaining('ECONNREFUSED'),
    });
    expect(JSON.stringify(checks)).not.toContain(gone.password);
    const latin = `latin_${fixture.database.name}`;
    await fixture.sql.query(`create database ${latin} template template0 encoding 'LATIN1' locale 'C'`);
    fixture.defer(() => fixture.sql.query(`drop database ${latin}`));
    const there = new URL(fixture.database.url);
    there.pathname = `/${latin}`;
    const other = await fixture.doctor({ settings: { ...fixture.settings, connectionString: there.href } });
    expect(found(other, 'ER1005')).toMatchObject({ state: 'fail', seen: 'LATIN1' });
  });

  test('the role: without replication, without rights, with some of them revoked', async () => {
    await using fixture = await create();
    const role = `app_${fixture.database.name}`;
    await fixture.sql.query(`create role ${role} login password 'secret'`);
    fixture.defer(() => fixture.sql.query(`drop role ${role}`));
    fixture.defer(() => fixture.sql.query(`drop owned by ${role}`));
    fixture.url = fixture.database.urlFor(role, 'secret');
    await fixture.sql.query(`grant event_runtime_viewer to ${role}`);
    const bare = await fixture.doctor();
    expect(found(bare, 'ER1003')).toMatchObject({ state: 'fail', fix: `ALTER ROLE ${role} REPLICATION;` });
    const rights = found(bare, 'ER1302');
    expect(rights).toMatchObject({
      state: 'fail',
      seen: expect.stringContaining('select on tick'),
      fix: `GRANT event_runtime_service, event_runtime_owner TO ${role};`,
    });
    // The fixes mend it.
    await fixture.sql.query(found(bare, 'ER1003').fix!);
    await fixture.sql.query(rights.fix!);
    const mended = await fixture.doctor();
    expect(found(mended, 'ER1003').state).toBe('ok');
    expect(found(mended, 'ER1302').state).toBe('ok');
    await fixture.sql.query(`revoke event_runtime_owner from ${role}`);
    expect(found(await fixture.doctor(), 'ER1302').seen).toBe(`${role} lacks SET ROLE event_runtime_owner`);
    await fixture.sql.query(
      'revoke delete on event_runtime.webhook_delivery from event_runtime_service; revoke execute on function event_runtime.tick from event_runtime_service',
    );
    expect(found(await fixture.doctor(), 'ER1302').seen).toMatch(
      /lacks delete on webhook_delivery; EXECUTE on tick\(\)/,
    );
  });

  test('the publication: missing, other options, a column or a row left out, other tables in it', async () => {
    await using fixture = await create();
    const publication = async (code = 'ER1303'): Promise<Check> => found(await fixture.doctor(), code);
    expect((await publication()).state).toBe('ok');
    const remade = async (text: string): Promise<void> => {
      await fixture.sql.query('drop publication if exists event_runtime');
      if (text !== '') await fixture.sql.query(`create publication event_runtime ${text}`);
    };
    await remade('');
    const missing = await publication('ER1204');
    expect(missing.state).toBe('fail');
    const whole = "with (publish = 'insert', publish_via_partition_root = true)";
    for (const [text, seen] of [
      ["for table event_runtime.outbox with (publish = 'insert')", /via_partition_root is off/],
      [
        "for table event_runtime.outbox with (publish = 'update', publish_via_partition_root = true)",
        /not publish inserts/,
      ],
      [`for table event_runtime.outbox (event_id, seq) ${whole}`, /leaves out .*payload/],
      [`for table event_runtime.outbox where (tenant_id = 'a') ${whole}`, /leaves out rows/],
      [`for table event_runtime.tick ${whole}`, /outbox is not in it/],
    ] as const) {
      await remade(text);
      expect(await publication()).toMatchObject({ state: 'fail', seen: expect.stringMatching(seen) });
    }
    await remade(`for table event_runtime.outbox, event_runtime.dead_letter ${whole}`);
    const others = await publication();
    expect(others).toMatchObject({ state: 'warn', seen: expect.stringContaining('dead_letter') });
    await fixture.sql.query(others.fix!.replace(/--.*/, ''));
    expect((await publication()).state).toBe('ok');
    await fixture.sql.query('drop publication event_runtime');
    await fixture.sql.query(missing.fix!.replace(/--.*/, ''));
    expect((await publication()).state).toBe('ok');
  });

  test('rows of another cluster: from transactions yet to come, or by a subscription', async () => {
    await using source = await create();
    await using fixture = await create();
    const seen = async (): Promise<Check> => found(await fixture.doctor(), 'ER1214');
    expect(await seen()).toMatchObject({ state: 'ok', seen: 'none' });
    const slot = `copy_${fixture.name}`;
    await source.sql.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [slot]);
    await fixture.sql.query(
      `create subscription "a ""copy" connection '${source.database.url}' publication event_runtime
         with (create_slot = false, slot_name = '${slot}', copy_data = false)`,
    );
    const written = await seen();
    expect(written).toMatchObject({ state: 'fail', seen: expect.stringContaining('subscription a "copy') });
    await fixture.sql.query(written.fix!);
    expect((await seen()).state).toBe('ok');
    await fixture.sql.query('alter subscription "a ""copy" set (slot_name = none)');
    await fixture.sql.query('drop subscription "a ""copy"');
    await fixture.sql.query("select event_runtime.emit('thing.done', '{}', 'acme')");
    await fixture.sql.query("update event_runtime.outbox set tx_id = '4611686018427387904'");
    expect(await seen()).toMatchObject({ state: 'fail', seen: expect.stringContaining('yet to come') });
  });

  test('the slot: missing, idle, of another plugin; no relay runs', async () => {
    await using fixture = await create();
    const first = await fixture.doctor();
    expect(found(first, 'ER1202')).toMatchObject({ state: 'warn', seen: 'there is none' });
    expect(found(first, 'ER1312').state).toBe('fail');
    const relay = await fixture.relay();
    await fixture.live(relay);
    expect(found(await fixture.doctor(), 'ER1312')).toMatchObject({
      state: 'ok',
      seen: expect.stringContaining(`:${process.pid}`),
    });
    await relay.stop();
    const idle = await eventually(
      () => fixture.doctor(),
      (checks) => checks.some(({ code }) => code === 'ER1304'),
    );
    expect(found(idle, 'ER1304').seen).toMatch(/nobody reads it; it keeps .*B of WAL/);
    await fixture.sql.query('select pg_drop_replication_slot($1)', [fixture.name]);
    await fixture.sql.query("select pg_create_logical_replication_slot($1, 'test_decoding')", [fixture.name]);
    expect(found(await fixture.doctor(), 'ER1213')).toMatchObject({
      state: 'fail',
      seen: 'it is for the plugin test_decoding, not pgoutput',
      fix: expect.stringContaining('relay.slot'),
    });
    const physical = `physical_${fixture.database.name}`;
    await fixture.sql.query('select pg_create_physical_replication_slot($1)', [physical]);
    fixture.defer(() => fixture.sql.query('select pg_drop_replication_slot($1)', [physical]));
    const standbys = await fixture.doctor({ settings: { ...fixture.settings, slot: physical } });
    expect(found(standbys, 'ER1213')).toMatchObject({
      state: 'fail',
      seen: 'it is physical: one for a standby',
    });
    await using other = await create();
    const theirs = { ...fixture.settings, connectionString: other.database.url };
    expect(found(await other.doctor({ settings: theirs }), 'ER1211')).toMatchObject({
      state: 'fail',
      seen: expect.stringContaining(fixture.database.name),
    });
  });

  test('sinks: paused, behind, gapped, of another cluster; dead letters; deliveries; partitions', async () => {
    await using fixture = await create();
    await fixture.live(await fixture.relay(0));
    await fixture.emit(3);
    const limits = { sinkSeconds: 0, partitionDays: 10_000, webhookSeconds: 0 };
    const behind = await eventually(
      () => fixture.doctor({ limits }),
      (checks) => found(checks, 'ER1316').state === 'warn',
    );
    expect(found(behind, 'ER1316').seen).toMatch(/^3 unread, the oldest for /);
    expect(found(behind, 'ER1309')).toMatchObject({
      state: 'warn',
      seen: expect.stringMatching(/^\d+ days ahead/),
    });
    expect(found(await fixture.doctor(), 'ER1309').state).toBe('ok');
    expect(found(await fixture.doctor(), 'ER1316').state).toBe('ok');
    await fixture.sql.query(
      'update event_runtime.relay_checkpoint set paused_at = now(), gapped_events = 1842',
    );
    await fixture.sql.query(
      `insert into event_runtime.dead_letter
         (tenant_id, sink, event_id, event_recorded_at, seq, event_type, reason_code, reason, attempts, payload)
       values ('acme', 'memory', event_runtime.uuid_v7(), now(), 1, 't', 'c', 'r', 1, '{}')`,
    );
    const checks = await fixture.doctor({ limits });
    expect(found(checks, 'ER1313')).toMatchObject({
      state: 'warn',
      fix: 'event-runtime sinks resume memory',
    });
    expect(found(checks, 'ER1314').seen).toBe('1,842 events were dropped unread');
    expect(found(checks, 'ER1315').seen).toBe('memory: 1');
    expect(found(checks, 'ER1317').state).toBe('ok');
    await fixture.sql.query(
      `with a as (insert into event_runtime.webhook_application (tenant_id, name) values ('acme', 'x') returning application_id),
       e as (insert into event_runtime.webhook_endpoint (tenant_id, application_id, url, secret)
             select 'acme', application_id, 'http://x.test', '' from a returning endpoint_id)
       insert into event_runtime.webhook_delivery (tenant_id, endpoint_id, event_id, event_recorded_at, seq, created_at)
       select 'acme', endpoint_id, event_runtime.uuid_v7(), now(), 1, now() - interval '3 hours' from e`,
    );
    expect(found(await fixture.doctor(), 'ER1317')).toMatchObject({
      state: 'warn',
      seen: '1 pending, the oldest for 3 h',
    });
    await fixture.sql.query(
      `insert into event_runtime.relay_checkpoint (relay, sink, epoch, system_identifier, timeline, snapshot)
       values ($1, 'moved', 1, '1', 1, '3:3:')`,
      [fixture.name],
    );
    expect(found(await fixture.doctor(), 'ER1206').name).toBe('sink moved');
  });

  test('transactions that stay open, in a session and prepared', async () => {
    await using fixture = await create();
    const limits = { transactionSeconds: 0 };
    const open = await fixture.connect();
    await open.query('begin');
    const idle = found(await fixture.doctor({ limits }), 'ER1310');
    expect(idle).toMatchObject({ state: 'warn', seen: expect.stringContaining('idle in transaction') });
    expect(idle.fix).toMatch(/^SELECT pg_terminate_backend\(\d+\);$/);
    expect(found(await fixture.doctor(), 'ER1310').state).toBe('ok');
    await open.query('select pg_current_xact_id()');
    await open.query("prepare transaction 'it''s left'");
    const prepared = found(await fixture.doctor({ limits }), 'ER1310');
    expect(prepared.seen).toContain("prepared 'it''s left'");
    await fixture.sql.query(prepared.fix!.replace(/--.*/, ''));
    expect(found(await fixture.doctor({ limits }), 'ER1310').state).toBe('ok');
  });

  test('clocks that differ', async () => {
    await using fixture = await create();
    const late = await fixture.doctor({ clock: () => Date.now() - 3_600_000 });
    expect(found(late, 'ER1311')).toMatchObject({ state: 'warn', seen: '60 min apart' });
  });

  test('standbys, from 17 on: a slot that is not carried over, and a list that is empty', async () => {
    await using fixture = await create();
    await fixture.sql.query('select pg_create_logical_replication_slot($1, $2)', [fixture.name, 'pgoutput']);
    expect((await fixture.doctor()).map(({ code }) => code)).not.toContain('ER1307');
    const standby = `standby_${fixture.database.name}`;
    await fixture.sql.query('select pg_create_physical_replication_slot($1)', [standby]);
    fixture.defer(() => fixture.sql.query('select pg_drop_replication_slot($1)', [standby]));
    if (version === '15') {
      expect((await fixture.doctor()).map(({ code }) => code)).not.toContain('ER1307');
      return;
    }
    expect(found(await fixture.doctor(), 'ER1307')).toMatchObject({
      state: 'warn',
      seen: expect.stringContaining(standby),
    });
    await fixture.sql.query('select pg_drop_replication_slot($1)', [fixture.name]);
    await fixture.sql.query('select pg_create_logical_replication_slot($1, $2, false, false, true)', [
      fixture.name,
      'pgoutput',
    ]);
    const carried = await fixture.doctor();
    expect(found(carried, 'ER1307').state).toBe('ok');
    expect(found(carried, 'ER1308')).toMatchObject({
      state: 'warn',
      fix: expect.stringMatching(/^ALTER SYSTEM SET synchronized_standby_slots = /),
    });
  });

  test('a platform is known by the roles it brings, and mended as it must be', async () => {
    await using fixture = await create();
    const role = `app_${fixture.database.name}`;
    await fixture.sql.query(`create role ${role} login password 'secret'`);
    await fixture.sql.query('create role azure_pg_admin');
    fixture.defer(() => fixture.sql.query(`drop role ${role}, azure_pg_admin`));
    fixture.url = fixture.database.urlFor(role, 'secret');
    await fixture.sql.query(`grant event_runtime_viewer to ${role}`);
    expect(found(await fixture.doctor(), 'ER1003').fix).toContain('azure_pg_admin');
  });

  test('a database that another one is not: nothing here is asked of the cluster as a whole', async () => {
    await using fixture = await create();
    await using other = await createTestDatabase(inject('postgres')[version]);
    const elsewhere = new pg.Client({ connectionString: other.url });
    await elsewhere.connect();
    await elsewhere.query('begin');
    const checks = await runDoctor({
      settings: fixture.settings,
      signal: new AbortController().signal,
      env: {},
      limits: { transactionSeconds: 0 },
    });
    expect(found(checks, 'ER1310').state).toBe('ok');
    await elsewhere.end();
  });
});
