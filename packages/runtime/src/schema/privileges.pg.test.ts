import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { createMigratedDatabase, type MigratedDatabase } from '../testing/migrated-database.ts';
import { ensurePartitions } from './partitioner.ts';

/**
 * The rights of every role on every table, cell by cell: what is written here against what the database does.
 */
type Verb = 'select' | 'insert' | 'update' | 'delete' | 'truncate';
/** Whose rows are touched, as seen from the tenant that is set; `empty` is a tenant set to ''. */
type Tenant = 'own' | 'other' | 'unset' | 'empty';
/** `ok`: one row seen or changed. `none`: allowed, but no row. `denied`: refused by the database. */
type Outcome = 'ok' | 'none' | 'denied';

const verbs: readonly Verb[] = ['select', 'insert', 'update', 'delete', 'truncate'];
const tenants: readonly Tenant[] = ['own', 'other', 'unset', 'empty'];
const stranger = 'stranger_to_event_runtime';
const roles = ['event_runtime_service', 'event_runtime_producer', 'event_runtime_viewer', stranger] as const;
type Role = (typeof roles)[number];

interface Table {
  readonly name: string;
  /** What the service may do. */
  readonly service: readonly Verb[];
  /** `tenant`: own rows. `all`: every row. */
  readonly viewer: 'tenant' | 'all' | 'nothing';
  /** Inserts one row of tenant `$t`; needs no right to read. */
  readonly insert: string;
  readonly column?: string;
  /** Which rows are tenant `$t`'s. Default: the column ends with it. */
  readonly whose?: string;
}

const app = "md5('application' || $t)::uuid";
const endpoint = "md5('endpoint' || $t)::uuid";
const replay = "md5('replay' || $t)::uuid";
const outboxRow = `(event_id, seq, tenant_id, event_type, payload, recorded_at) overriding system value
  values (gen_random_uuid(), 1, $t, 'e', '1', now())`;
const keyRow =
  '(tenant_id, idempotency_key, event_id, recorded_at) values ($t, gen_random_uuid(), gen_random_uuid(), now())';
const inboxRow = '(consumer, event_id, recorded_at) values ($t, gen_random_uuid(), now())';
const attemptRow = `(attempt_id, tenant_id, endpoint_id, event_id, attempt, outcome, attempted_at)
  values (gen_random_uuid(), $t, gen_random_uuid(), gen_random_uuid(), 1, 'dead', now())`;
const dropRow = "(partition, forced, readers) values ($t, false, '[]')";
const ticks = {
  service: [],
  viewer: 'nothing',
  insert: `(at, xid, seq, snapshot, lsn, ceiling)
    values (now(), (ascii($t)::text || nextval('event_runtime.relay_epoch'))::xid8, ascii($t), '3:3:', '0/1', 1)`,
  column: 'seq',
  whose: 'seq = ascii($t)',
} as const;

function tablesOn(today: string): readonly Table[] {
  const leaf = { service: [], viewer: 'nothing' } as const;
  return [
    { name: 'outbox', service: ['select'], viewer: 'tenant', insert: outboxRow },
    { name: `outbox_${today}`, ...leaf, insert: outboxRow },
    { name: 'outbox_overflow', ...leaf, insert: outboxRow },
    { name: 'outbox_underflow', ...leaf, insert: outboxRow },
    { name: 'outbox_later', ...leaf, insert: outboxRow },
    { name: 'outbox_key', service: ['select'], viewer: 'tenant', insert: keyRow },
    { name: 'outbox_key_0', ...leaf, insert: keyRow },
    { name: 'outbox_key_7', ...leaf, insert: keyRow },
    { name: 'outbox_drop', ...leaf, insert: dropRow, column: 'partition' },
    { name: 'tick', ...ticks, service: ['select', 'delete'] },
    { name: `tick_${today}`, ...leaf, ...ticks },
    { name: 'tick_overflow', ...leaf, ...ticks },
    {
      name: 'relay_checkpoint',
      service: ['select', 'insert', 'update', 'delete'],
      viewer: 'nothing',
      insert: `(relay, sink, epoch, system_identifier, timeline, snapshot)
        values ('r', gen_random_uuid()::text || $t, 1, '1', 1, '3:3:')`,
      column: 'sink',
    },
    {
      name: 'relay_lease',
      service: ['select', 'insert', 'update', 'delete'],
      viewer: 'nothing',
      insert: `(relay, sink, epoch, holder, holder_name, expires_at)
        values ('r', gen_random_uuid()::text || $t, 1, gen_random_uuid(), 'h', now())`,
      column: 'sink',
    },
    {
      name: 'relay_cluster',
      service: ['select'],
      viewer: 'nothing',
      insert: '(system_identifier) values ($t) on conflict do nothing',
      column: 'system_identifier',
      // There is one row.
      whose: 'true',
    },
    {
      name: 'replay',
      service: ['select', 'insert', 'update', 'delete'],
      viewer: 'nothing',
      insert: `(replay_id, relay, sink, selection, snapshot, after_seq, upto_seq, total, events_per_second, shards)
        values (${replay}, 'r', $t, '{}', '3:3:', 0, 0, 0, 1, 1)`,
      column: 'sink',
    },
    {
      name: 'replay_part',
      service: ['select', 'insert', 'update', 'delete'],
      viewer: 'nothing',
      insert: `(replay_id, shard, after_seq, trouble) values (${replay}, floor(random() * 1e9)::int, 0, $t)`,
      column: 'trouble',
    },
    {
      name: 'schema_migration',
      service: ['select'],
      viewer: 'all',
      insert: '(number, name, checksum, breaking) select 1 + ascii($t), $t, $t, false',
      column: 'name',
    },
    {
      name: 'consumer_idempotency',
      service: ['select', 'insert', 'delete'],
      viewer: 'nothing',
      insert: inboxRow,
      column: 'consumer',
    },
    { name: `consumer_idempotency_${today}`, ...leaf, insert: inboxRow, column: 'consumer' },
    {
      name: 'dead_letter',
      service: ['select', 'insert', 'update', 'delete'],
      viewer: 'tenant',
      insert: `(tenant_id, sink, event_id, event_recorded_at, seq, event_type, reason_code, reason, attempts, payload)
        values ($t, 's', gen_random_uuid(), now(), 1, 'e', 'r', 'r', 1, '1')`,
    },
    {
      name: 'webhook_application',
      service: ['select', 'insert', 'update', 'delete'],
      viewer: 'tenant',
      insert: `(application_id, tenant_id, name) values (${app}, $t, 'n')`,
    },
    {
      name: 'webhook_endpoint',
      service: ['select', 'insert', 'update', 'delete'],
      viewer: 'tenant',
      insert: `(endpoint_id, tenant_id, application_id, url, secret) values (${endpoint}, $t, ${app}, 'http://a', '')`,
    },
    {
      name: 'webhook_subscriptions',
      service: ['select', 'insert', 'update', 'delete'],
      viewer: 'tenant',
      insert: `(endpoint_id, tenant_id, event_type) values (${endpoint}, $t, '*')`,
    },
    {
      name: 'webhook_delivery',
      service: ['select', 'insert', 'update', 'delete'],
      viewer: 'tenant',
      insert: `(tenant_id, endpoint_id, event_id, event_recorded_at, seq)
        values ($t, ${endpoint}, gen_random_uuid(), now(), 1)`,
    },
    { name: 'webhook_attempt', service: ['select', 'insert'], viewer: 'tenant', insert: attemptRow },
    { name: `webhook_attempt_${today}`, ...leaf, insert: attemptRow },
  ];
}

function insertOf(table: Table, tenant: string): string {
  return `insert into event_runtime.${table.name} ${table.insert.replaceAll('$t', `'${tenant}'`)}`;
}

function expected(
  table: Table,
  cell: { readonly role: Role; readonly verb: Verb; readonly tenant: Tenant },
): Outcome {
  if (cell.role === 'event_runtime_service') return table.service.includes(cell.verb) ? 'ok' : 'denied';
  if (cell.role !== 'event_runtime_viewer' || cell.verb !== 'select') return 'denied';
  if (table.viewer === 'tenant') return cell.tenant === 'own' ? 'ok' : 'none';
  return table.viewer === 'all' ? 'ok' : 'denied';
}

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let database: MigratedDatabase;
  let client: pg.Client;
  let tables: readonly Table[];

  beforeAll(async () => {
    database = await createMigratedDatabase(inject('postgres')[major]);
    client = await database.connect();
    await client.query(
      `do $$ begin create role ${stranger} nologin; exception when duplicate_object then null; end $$`,
    );
    await client.query(`grant usage on schema event_runtime to ${stranger}`);
    // A leaf that the partitioner made, not the migration.
    const before = await names(client);
    await ensurePartitions(client, { today: new Date(Date.now() + 20 * 86_400_000) });
    const made = (await names(client)).filter((name) => !before.includes(name));
    if (made.length === 0) throw new Error('upkeep made no leaf');
    const today = new Date().toISOString().slice(0, 10).replaceAll('-', '');
    // Rows of two tenants, through the roots; those of the partitioned tables land in today's leaves.
    tables = tablesOn(today).map((table) =>
      table.name === 'outbox_later' ? { ...table, name: made[0] ?? '' } : table,
    );
    for (const tenant of ['a', 'b']) {
      for (const table of tables) {
        if (table.service.length > 0) await client.query(insertOf(table, tenant));
      }
    }
  });
  afterAll(() => database[Symbol.asyncDispose]());

  /** One cell: in a transaction of its own that is rolled back. */
  async function probe(
    table: Table,
    cell: { readonly role: Role; readonly verb: Verb; readonly tenant: Tenant },
  ): Promise<Outcome> {
    const target = cell.tenant === 'other' ? 'b' : 'a';
    const column = table.column ?? 'tenant_id';
    const who = table.whose?.replaceAll('$t', `'${target}'`) ?? `${column} like '%${target}'`;
    await client.query('begin');
    try {
      // Room for the row that is to be inserted, where a tenant can have one only.
      if (cell.verb === 'insert') await client.query(`delete from event_runtime.${table.name} where ${who}`);
      if (cell.tenant === 'own' || cell.tenant === 'other') {
        await client.query("select set_config('event_runtime.tenant', 'a', true)");
      }
      if (cell.tenant === 'empty') await client.query("select set_config('event_runtime.tenant', '', true)");
      await client.query(`set local role ${cell.role}`);
      const text = {
        select: `select count(*)::int as n from event_runtime.${table.name} where ${who}`,
        insert: insertOf(table, target),
        update: `update event_runtime.${table.name} set ${column} = ${column} where ${who}`,
        delete: `delete from event_runtime.${table.name} where ${who}`,
        truncate: `truncate event_runtime.${table.name} cascade`,
      }[cell.verb];
      const result = await client.query<{ n: number }>(text);
      const touched = cell.verb === 'select' ? result.rows[0]?.n : result.rowCount;
      return cell.verb === 'truncate' || (touched ?? 0) > 0 ? 'ok' : 'none';
    } catch (cause) {
      if ((cause as pg.DatabaseError).code === '42501') return 'denied';
      throw cause;
    } finally {
      await client.query('rollback');
    }
  }

  test('the matrix: role × table × verb × tenant', { timeout: 600_000 }, async () => {
    const lines: string[] = [];
    const wrong: string[] = [];
    for (const role of roles) {
      const attributes = await client.query(
        'select rolsuper or rolbypassrls as above from pg_roles where rolname = $1',
        [role],
      );
      expect(attributes.rows).toEqual([{ above: false }]);
      for (const table of tables) {
        const cells: string[] = [];
        for (const verb of verbs) {
          const outcomes: Outcome[] = [];
          for (const tenant of tenants) {
            const outcome = await probe(table, { role, verb, tenant });
            outcomes.push(outcome);
            if (outcome !== expected(table, { role, verb, tenant })) {
              wrong.push(`${role} ${table.name} ${verb} ${tenant}: ${outcome}`);
            }
          }
          cells.push(outcomes.map((outcome) => ({ ok: '+', none: '0', denied: '-' })[outcome]).join(''));
        }
        lines.push(
          `${role.replace('event_runtime_', '').padEnd(25)} ${table.name.padEnd(30)} ${cells.join('  ')}`,
        );
      }
    }
    const legend = '+ a row, 0 allowed but no row, - denied; for each verb: own, other, unset, empty tenant';
    process.stdout.write(
      `PostgreSQL ${major}: ${legend}\n${'role'.padEnd(25)} ${'table'.padEnd(30)} ${verbs.map((verb) => verb.slice(0, 4)).join('  ')}\n${lines.join('\n')}\n`,
    );
    expect(wrong).toEqual([]);
    expect(lines).toHaveLength(roles.length * tables.length);
  });

  test('every table of the schema is in the matrix, or is a leaf like one that is', async () => {
    const listed = new Set(tables.map((table) => table.name));
    const { rows } = await client.query<{ name: string }>(
      `select c.relname as name from pg_class c
        where c.relnamespace = 'event_runtime'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
          and not c.relispartition`,
    );
    expect(rows.map((row) => row.name).filter((name) => !listed.has(name))).toEqual([]);
  });

  test('every table and leaf: owned by the owner role, row security forced; no leaf is granted to anybody', async () => {
    const { rows } = await client.query<{ name: string }>(
      `select c.relname as name from pg_class c
        where c.relnamespace = 'event_runtime'::regnamespace and c.relkind in ('r', 'p')
          and (not c.relrowsecurity or not c.relforcerowsecurity
               or pg_get_userbyid(c.relowner) <> 'event_runtime_owner'
               or c.relispartition and exists (
                    select from aclexplode(c.relacl) a where a.grantee <> c.relowner))`,
    );
    expect(rows).toEqual([]);
  });

  test('PUBLIC may do nothing: no table, no sequence, no function, not the schema', async () => {
    const { rows } = await client.query<{ name: string }>(
      `select c.relname::text as name from pg_class c cross join lateral aclexplode(c.relacl) a
        where c.relnamespace = 'event_runtime'::regnamespace and a.grantee = 0
       union all
       select p.proname::text from pg_proc p
        cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        where p.pronamespace = 'event_runtime'::regnamespace and a.grantee = 0
       union all
       select n.nspname::text from pg_namespace n cross join lateral aclexplode(n.nspacl) a
        where n.nspname = 'event_runtime' and a.grantee = 0`,
    );
    expect(rows).toEqual([]);
  });

  test('functions: the producer executes emit and emit_many, the others what they need, and no more', async () => {
    const { rows } = await client.query<{ name: string; roles: string }>(
      `select p.proname::text as name,
              string_agg(r.rolname::text, ' ' order by r.rolname) filter (
                where has_function_privilege(r.oid, p.oid, 'execute')) as roles
         from pg_proc p cross join pg_roles r
        where p.pronamespace = 'event_runtime'::regnamespace and r.rolname = any($1)
        group by p.oid, p.proname
       having bool_or(has_function_privilege(r.oid, p.oid, 'execute'))
        order by 1`,
      [[...roles]],
    );
    expect(rows).toEqual([
      { name: 'dead_letter_group', roles: 'event_runtime_service' },
      { name: 'emit', roles: 'event_runtime_producer' },
      { name: 'emit_many', roles: 'event_runtime_producer' },
      { name: 'partition_list', roles: 'event_runtime_service' },
      { name: 'relay_adopt', roles: 'event_runtime_service' },
      { name: 'tick', roles: 'event_runtime_service' },
      { name: 'uuid_v7', roles: 'event_runtime_service' },
    ]);
  });

  test('the producer writes by emit alone; the viewer then sees its tenant, and no secret', async () => {
    await client.query('begin');
    await client.query('set local role event_runtime_producer');
    await client.query("select 1 from event_runtime.emit('e', '1', 'seen')");
    await client.query("select 1 from event_runtime.emit('e', '1', 'unseen')");
    await client.query('set local role event_runtime_viewer');
    await client.query("select set_config('event_runtime.tenant', 'seen', true)");
    const { rows } = await client.query('select tenant_id from event_runtime.outbox');
    expect(rows).toEqual([{ tenant_id: 'seen' }]);
    const secret = client.query('select secret from event_runtime.webhook_endpoint');
    await expect(secret).rejects.toMatchObject({ code: '42501' });
    await client.query('rollback');
  });
});

async function names(client: pg.Client): Promise<readonly string[]> {
  const { rows } = await client.query<{ name: string }>(
    "select name from event_runtime.partition_list('outbox')",
  );
  return rows.map((row) => row.name);
}
