import type pg from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { detachTable, findAttached, planAttachment } from './attach.ts';
import { AttachedFixture } from './attached-fixture.suite.ts';
import { attachedTables } from './attached-tables.ts';
import { detachmentSql } from './attachment-sql.ts';
import { parseMapping } from './mapping.ts';

const table = `create table public.shop_events (
  id uuid primary key default gen_random_uuid(), tenant text, kind text not null default 'order.placed',
  data json, status text not null default 'pending')`;
const mapped = ['event_type=kind', 'payload=data', 'tenant=tenant', 'event_id=id'];

async function failure(work: Promise<unknown>): Promise<pg.DatabaseError> {
  const error = await work.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (!(error instanceof Error)) throw new Error('it did not fail');
  return error as pg.DatabaseError;
}

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  const create = async (): Promise<AttachedFixture> =>
    await AttachedFixture.create(inject('postgres')[major]);
  const shop = async (): Promise<AttachedFixture> => {
    const fixture = await create();
    await fixture.sql.query(table);
    await fixture.attach('shop_events', mapped);
    return fixture;
  };

  test('every field, from columns and from constants; empty texts are none', async () => {
    await using fixture = await create();
    await fixture.sql.query(
      `create type kind as enum ('order.placed'); create domain short as varchar(20); create domain shorter as short;
       create table public.all_fields (n int8, kind kind, data text, org numeric, a shorter, b text, eco text, v int2,
         cor text, cau text, src text, tp text, h jsonb)`,
    );
    await fixture.attach('public.all_fields', [
      'event_type=kind',
      'payload=data',
      'tenant=org',
      'event_id=n',
      'entity_key=a+b',
      'ecosystem=eco',
      'event_version=v',
      'correlation_id=cor',
      'causation_id=cau',
      'source_service=src',
      'traceparent=tp',
      'headers=h',
    ]);
    const trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    await fixture.sql.query(
      `insert into all_fields values
         (1, 'order.placed', ' {"n": 1.0,  "n": 9007199254740993} ', 7, 'o', '1', 'ofb', 3, 'c1', 'c2', 's', $1, '{"x":"y"}'),
         (2, 'order.placed', '[]', 7, 'o', null, '', null, '', '', '', 'no trace parent', null),
         (3, 'order.placed', '[]', 7, 'o', '', null, 1, null, null, null,
          E'#Fri Nov 20 2026\\n#note\\ntraceparent=' || $1 || E'\\r\\ntracestate=a\\n', null)`,
      [trace],
    );
    const [full, empty, properties] = await fixture.events();
    expect(full).toEqual({
      event_type: 'order.placed',
      tenant_id: '7',
      entity_key: 'o/1',
      ecosystem: 'ofb',
      event_version: 3,
      idempotency_key: null,
      correlation_id: 'c1',
      causation_id: 'c2',
      source_service: 's',
      traceparent: trace,
      headers: '{"x": "y"}',
      payload: ' {"n": 1.0,  "n": 9007199254740993} ',
    });
    expect(empty).toMatchObject({
      entity_key: null,
      ecosystem: null,
      event_version: 1,
      correlation_id: null,
      causation_id: null,
      source_service: null,
      traceparent: null,
      headers: null,
    });
    expect(properties).toMatchObject({ entity_key: null, traceparent: trace });
  });

  test('constants, headers of several columns, an idempotency key', async () => {
    await using fixture = await create();
    await fixture.sql.query('create table t (id uuid, key text, data jsonb, region text, "Zone" text)');
    await fixture.attach('t', [
      "event_type=:it's",
      'payload=data',
      'tenant=:acme',
      'event_id=id',
      'idempotency_key=key',
      'event_version=:4',
      'header.region=region',
      'header.zone=Zone',
    ]);
    const id = '0198c0de-7b8e-7c11-9d0c-0b6b7f4f3b10';
    await fixture.sql.query(
      `insert into t values ($1, 'k', '{}', 'south', 'a"b'), ($1, null, '{}', null, 'z'), ($1, '', '{}', null, null)`,
      [id],
    );
    expect(await fixture.events()).toMatchObject([
      {
        event_type: "it's",
        tenant_id: 'acme',
        event_version: 4,
        idempotency_key: 'attached_public_t:key:k',
        headers: '{"region":"south","zone":"a\\"b"}',
      },
      { idempotency_key: null, headers: '{"zone":"z"}' },
      { idempotency_key: null, headers: null },
    ]);
  });

  test('the event commits with the row: rollback, savepoint, a failed statement leave none', async () => {
    await using fixture = await shop();
    const { sql } = fixture;
    const insert = (n: number): Promise<unknown> =>
      sql.query(`insert into shop_events (tenant, data) values ('acme', '${n}')`);
    await sql.query('begin');
    await insert(1);
    await sql.query('rollback');
    await sql.query('begin');
    await insert(2);
    await sql.query('savepoint s');
    await insert(3);
    await sql.query('rollback to s');
    await insert(4);
    await sql.query('commit');
    expect(
      await failure(sql.query(`insert into shop_events (tenant, data) values ('acme', '5'), (null, '6')`)),
    ).toMatchObject({ message: 'ER2004 the event has no tenant', code: '22004' });
    expect(await fixture.payloads()).toEqual(['2', '4']);
    const { rows } = await sql.query('select from shop_events');
    expect(rows).toHaveLength(2);
  });

  test('what emit refuses fails the INSERT, and neither row nor event is left', async () => {
    await using fixture = await create();
    const { sql } = fixture;
    await sql.query('create table loose (kind text, data text, version int8, key text)');
    await fixture.attach('loose', [
      ...['event_type=kind', 'payload=data', 'tenant=:acme', 'event_version=version', 'entity_key=key'],
    ]);
    for (const [values, code, message] of [
      ["('a', 'nonsense', 1, 'k')", '22P02', /^invalid input syntax for type json/],
      ["('a', null, 1, 'k')", '22023', /^ER2008 payload is missing/],
      ["('a', '', 1, 'k')", '22023', /^ER2008 payload is missing/],
      ["(null, '{}', 1, 'k')", '22023', /^ER2008 event_type is missing/],
      ["('a', '{}', 0, 'k')", '22023', /^ER2008 event_version must be 1 or more/],
      ["('a', '{}', 9999999999, 'k')", '22003', /out of range for type integer/],
      ["('a', '{}', 1, repeat('k', 1001))", '22023', /^ER2008 entity_key/],
      ["('a', to_json(repeat('x', 33554432))::text, 1, 'k')", '54000', /^ER2005 payload is larger/],
    ] as const) {
      const refused = await failure(sql.query(`insert into loose values ('a', '{}', 1, 'k'), ${values}`));
      expect(refused).toMatchObject({ code, message: expect.stringMatching(message) });
    }
    expect(await fixture.events()).toEqual([]);
    expect((await sql.query('select from loose')).rows).toEqual([]);
  });

  test('only INSERTs count, in their order: many rows, COPY, ON CONFLICT, UPDATE, DELETE', async () => {
    await using fixture = await create();
    const { sql } = fixture;
    await sql.query(table);
    // Without the id: nothing is left out as a duplicate.
    await fixture.attach('shop_events', ['event_type=kind', 'payload=data', 'tenant=tenant']);
    await sql.query('begin');
    await sql.query(
      `insert into shop_events (tenant, data) select 'acme', to_json(n) from generate_series(1, 300) n`,
    );
    await sql.query(
      `copy shop_events (tenant, data) from program 'for n in 301 302 303; do printf "acme\\t$n\\n"; done'`,
    );
    await sql.query(
      `insert into shop_events (id, tenant, data) select id, tenant, '-1' from shop_events where data::text = '7'
       on conflict (id) do update set status = 'again'`,
    );
    await sql.query("update shop_events set status = 'published', data = '-2'");
    await sql.query('delete from shop_events');
    await sql.query('commit');
    expect(await fixture.payloads()).toEqual(Array.from({ length: 303 }, (_, n) => String(n + 1)));
  });

  test('a partitioned table: into the root, into a leaf, a new leaf; a row that moves is no second event', async () => {
    await using fixture = await create();
    const { sql } = fixture;
    await sql.query(
      `create table queue (id uuid not null default gen_random_uuid(), data jsonb, status text) partition by list (status);
       create table queue_pending partition of queue for values in ('pending') partition by range (id);
       create table queue_pending_all partition of queue_pending default`,
    );
    const pairs = ['event_type=:q', 'payload=data', 'tenant=:acme'];
    expect(await failure(fixture.attach('queue', pairs))).toMatchObject({
      code: 'ER1402',
      message: expect.stringContaining('is partitioned: map event_id'),
    });
    expect(await failure(fixture.attach('queue_pending_all', pairs))).toMatchObject({
      code: 'ER1401',
      message: expect.stringContaining('is a partition: attach public.queue.'),
    });
    await fixture.attach('queue', [...pairs, 'event_id=id']);
    await sql.query("create table queue_done partition of queue for values in ('done')");
    await sql.query(`insert into queue (data, status) values ('1', 'pending'), ('2', 'done')`);
    await sql.query(`insert into queue_pending_all (data, status) values ('3', 'pending')`);
    await sql.query("update queue set status = 'done'");
    expect((await sql.query('select from queue_done')).rows).toHaveLength(3);
    expect(await fixture.payloads()).toEqual(['1', '2', '3']);
    await detachTable(sql, { attached: await findAttached(sql, 'public.queue') });
    const { rows } = await sql.query("select from pg_trigger where tgname = 'event_runtime_emit'");
    expect(rows).toHaveLength(0);
  });

  test('the application needs no right of ours and gets none; its tenant is kept', async () => {
    await using fixture = await shop();
    await fixture.sql.query(`grant insert on shop_events to ${fixture.role}`);
    const application = await fixture.application();
    try {
      const insert = (tenant: string | null): Promise<unknown> =>
        application.query("insert into shop_events (tenant, data) values ($1, '{}')", [tenant]);
      await insert('acme');
      // Unset, the row says whose it is; set, another's is refused, as by emit.
      await application.query("select set_config('event_runtime.tenant', 'acme', false)");
      await insert('acme');
      expect(await failure(insert('other'))).toMatchObject({
        message: 'ER2006 tenant_id is not the tenant of event_runtime.tenant',
        code: '42501',
      });
      await insert(null);
      for (const forbidden of [
        "select event_runtime.emit('a', '{}', tenant_id => 'acme')",
        'select event_id from event_runtime.outbox',
        'select event_runtime.attached_public_shop_events()',
        'create temporary table mine (kind text); create trigger t after insert on mine for each row execute function event_runtime.attached_public_shop_events()',
      ]) {
        expect(await failure(application.query(forbidden))).toMatchObject({ code: '42501' });
      }
    } finally {
      await application.end();
    }
    expect((await fixture.events()).map(({ tenant_id }) => tenant_id)).toEqual(['acme', 'acme', 'acme']);
    const { rows } = await fixture.sql.query(
      `select pg_get_userbyid(p.proowner)::text as owner, p.prosecdef as definer, p.proconfig as settings,
              has_function_privilege($1, p.oid, 'execute') as anybody
         from pg_proc p where p.proname = 'attached_public_shop_events'`,
      [fixture.role],
    );
    expect(rows).toEqual([
      {
        owner: 'event_runtime_owner',
        definer: true,
        settings: ['search_path=pg_catalog, pg_temp'],
        anybody: false,
      },
    ]);
  });

  test("the table's owner cannot have code of its own run with our rights", async () => {
    await using fixture = await create();
    const { sql, role } = fixture;
    await sql.query(`create schema theirs authorization ${role}; create table theirs.seen (who text)`);
    await sql.query('grant all on theirs.seen to public');
    const application = await fixture.application();
    try {
      await application.query(
        `create table theirs.box (kind text, data json, tenant text);
         create type theirs.trap as enum ('acme');
         create function theirs.spring(theirs.trap) returns text language plpgsql as
           $$begin insert into theirs.seen values (current_user); return 'acme'; end$$;
         create function theirs.spring_json(theirs.trap) returns json language plpgsql as
           $$begin insert into theirs.seen values (current_user); return '{}'; end$$;
         create cast (theirs.trap as text) with function theirs.spring as implicit;
         create cast (theirs.trap as json) with function theirs.spring_json as implicit`,
      );
      await fixture.attach('theirs.box', ['event_type=kind', 'payload=data', 'tenant=tenant']);
      await application.query('alter table theirs.box alter tenant type theirs.trap using null');
      // In a new session nothing is planned yet.
      const fresh = await fixture.application();
      await fresh.query(`set search_path = theirs; insert into box values ('a', '{}', 'acme')`);
      await fresh.end();
    } finally {
      await application.end();
    }
    expect(await fixture.events()).toMatchObject([{ tenant_id: 'acme' }]);
    expect((await sql.query('select who from theirs.seen')).rows).toEqual([]);
  });

  test('names that SQL must quote, and more', async () => {
    await using fixture = await create();
    const { sql } = fixture;
    const [name, column] = [`a"b'; drop table x; -- $attached$`, `c"d'); end $attached$ \\ %I new`];
    const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
    await sql.query(
      `create schema "S p"; create table "S p".${quoted(name)} (${quoted(column)} text, "type" text, "Ünï" json);
       create table x ()`,
    );
    const plan = await fixture.attach(`"S p".${quoted(name)}`, [
      `event_type=${column}`,
      'payload=Ünï',
      `tenant=:o'x"; $attached$ \\`,
    ]);
    expect(plan.table).toBe(`"S p".${quoted(name)}`);
    await sql.query(`insert into "S p".${quoted(name)} values ('a', 'b', '{}')`);
    expect(await fixture.events()).toMatchObject([{ event_type: 'a', tenant_id: `o'x"; $attached$ \\` }]);
    expect(await attachedTables(sql)).toMatchObject([
      { table: plan.table, trigger: 'enabled', missingColumns: [] },
    ]);
    await detachTable(sql, { attached: await findAttached(sql, plan.table) });
    expect(await attachedTables(sql)).toEqual([]);
    expect((await sql.query("select to_regclass('x') is not null as there")).rows).toEqual([{ there: true }]);
  });

  test('the script that a dry run prints does it, in the hands of a role that may migrate', async () => {
    await using fixture = await create();
    const { sql, role } = fixture;
    await sql.query(table);
    const plan = await planAttachment(sql, { table: 'shop_events', mapping: parseMapping(mapped) });
    expect(await attachedTables(sql)).toEqual([]);
    await sql.query(`grant event_runtime_owner to ${role}; grant trigger, insert on shop_events to ${role}`);
    const application = await fixture.application();
    await application.query(plan.sql);
    await application.query(`insert into shop_events (tenant, data) values ('acme', '{}')`);
    await application.end();
    expect(await fixture.events()).toHaveLength(1);
    expect(await failure(fixture.attach('shop_events', mapped))).toMatchObject({ code: 'ER1403' });
  });

  test('without its begin and commit, the script leaves the role of the transaction around it as it was', async () => {
    await using fixture = await create();
    const { sql, role } = fixture;
    await sql.query(table);
    const plan = await planAttachment(sql, { table: 'shop_events', mapping: parseMapping(mapped) });
    await sql.query(`grant event_runtime_owner to ${role}; grant trigger, insert on shop_events to ${role}`);
    expect(plan.sql).toContain('-- A transaction of its own. Where your migration tool');
    const within = plan.sql.replace('\nbegin;\n', '\n').replace('\ncommit;\n', '\n');
    const roleNow = async (): Promise<unknown> =>
      (await sql.query("select current_setting('role') as role")).rows[0];
    await sql.query(`set role ${role}`);
    await sql.query('begin');
    await sql.query(within);
    expect(await roleNow()).toEqual({ role });
    await sql.query(`insert into shop_events (tenant, data) values ('acme', '{}')`);
    await sql.query('commit');
    expect(await roleNow()).toEqual({ role });
    await sql.query('reset role');
    expect(await fixture.events()).toHaveLength(1);
    await sql.query('begin');
    for (const statement of detachmentSql(plan.functionName)) await sql.query(statement);
    expect(await roleNow()).toEqual({ role: 'none' });
    await sql.query('commit');
    expect(await attachedTables(sql)).toEqual([]);
  });
});
