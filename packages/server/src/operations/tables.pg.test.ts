import { execFile } from 'node:child_process';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { attachTable, parseMapping, planAttachment } from '@event-runtime/runtime';
import { createTestDatabase } from '@event-runtime/runtime/testing';
import pg from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { fewDays } from '../../../runtime/src/testing/migrated-database.ts';
import { found, OperationsFixture } from './operations-fixture.suite.ts';

const table = `create table public.shop_events (
  id uuid primary key default gen_random_uuid(), tenant text not null, kind text not null, data json not null)`;
const tablesOfPresets = `create table public."PrismaOutbox" (
  "eventId" uuid primary key, "tenantId" text not null, "eventType" text not null, payload jsonb not null);
create table public.organization_outbox (id uuid primary key, event_name text not null, event_type text not null,
  payload jsonb not null, organization_id text not null)`;
const attach = [
  ...['tables', 'attach', 'shop_events', '--map', 'event_type=kind', 'payload=data', 'tenant=tenant'],
  ...['event_id=id', 'entity_key=kind', 'header.rowid=id'],
];
const insert = "insert into public.shop_events (tenant, kind, data) values ('acme', 'a', '{}')";
const pgDump = inject('pgDump');

async function events(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ n: number }>('select count(*)::int as n from event_runtime.outbox');
  return rows[0]?.n ?? -1;
}

describe.each(['15', '18'] as const)('PostgreSQL %s', (version) => {
  const create = async (): Promise<OperationsFixture> => {
    const fixture = await OperationsFixture.create(inject('postgres')[version], { from: fewDays });
    await fixture.sql.query(table);
    return fixture;
  };

  test('attach, list, status, detach: each says what it did', async () => {
    await using fixture = await create();
    expect((await fixture.run(['tables'])).out).toBe('No table is attached.');
    const dry = await fixture.run([...attach, '--dry-run']);
    expect(dry).toMatchObject({ code: 0, notes: '' });
    expect(dry.out).toMatch(
      /^(?:-- .*\n)+begin;\nset local lock_timeout = '1s';\nset local statement_timeout = '2s';\n[\s\S]*\ncommit;$/,
    );
    expect((await fixture.run(['tables'])).out).toBe('No table is attached.');
    const done = await fixture.run(attach);
    expect(done).toMatchObject({ code: 0, notes: '' });
    expect(done.out).toContain('public.shop_events is attached');
    await fixture.sql.query(insert);
    expect(await events(fixture.sql)).toBe(1);
    const listed = await fixture.run(['tables', 'list', '--json']);
    expect(listed.json()).toEqual({
      tables: [
        {
          table: 'public.shop_events',
          functionName: 'attached_public_shop_events',
          mapping: {
            event_type: { columns: ['kind'] },
            payload: { columns: ['data'] },
            tenant: { columns: ['tenant'] },
            event_id: { columns: ['id'] },
            entity_key: { columns: ['kind'] },
            'header.rowid': { columns: ['id'] },
          },
          trigger: 'enabled',
          disabled: [],
          missingColumns: [],
        },
      ],
    });
    expect((await fixture.run(['tables'])).out).toMatch(
      /public\.shop_events +attached\n[\s\S]*\n {2}event_id=id/,
    );
    expect((await fixture.run(['status'])).out).toMatch(/^tables +1 attached$/m);
    const planned = await fixture.run(['tables', 'detach', 'shop_events', '--dry-run']);
    expect(planned.out).toMatch(/would be detached\.\nNothing was changed\.$/);
    expect((await fixture.run(['tables', 'detach', 'shop_events', '--json'])).json()).toMatchObject({
      detached: true,
    });
    await fixture.sql.query(insert);
    expect(await events(fixture.sql)).toBe(1);
    const gone = await fixture.run(['tables', 'detach', 'shop_events']);
    expect(gone).toMatchObject({ code: 1, notes: expect.stringContaining('ER1404') });
  });

  test.each([
    ['shop_events', ['--map', 'event_type=kind', 'payload=data', 'tenant=tenant', 'event_id=id']],
    ['"PrismaOutbox"', ['--preset', 'prisma-outbox']],
    ['organization_outbox', ['--preset', 'organization-outbox']],
  ])('%s, no entity_key: a warning, also before anything is done', async (name, flags) => {
    await using fixture = await create();
    await fixture.sql.query(tablesOfPresets);
    const warning = 'no entity_key is mapped: no order between events';
    const words = ['tables', 'attach', name, ...flags];
    for (const dryRun of [['--dry-run'], []]) {
      const told = await fixture.run([...words, ...dryRun]);
      expect(told).toMatchObject({ code: 0, notes: `! ${warning}` });
      expect(told.out).not.toContain(warning);
      if (dryRun.length === 0) await fixture.run(['tables', 'detach', name]);
      const json = await fixture.run([...words, ...dryRun, '--json']);
      expect(json).toMatchObject({ code: 0, notes: '' });
      expect(json.json()).toMatchObject({ attached: dryRun.length === 0, warnings: [warning] });
    }
  });

  const good = ['event_type=kind', 'payload=data', 'tenant=tenant'];
  const wrong = (pair: string): string[] => [
    'shop_events',
    '--map',
    ...good.filter((each) => !each.startsWith(`${pair.split('=')[0]}=`)),
    pair,
  ];
  test.each([
    ['ER1401', 'There is no table nowhere in', ['nowhere', '--map', ...good]],
    ['ER1401', 'There is no table "shop_events in', ['"shop_events', '--map', ...good]],
    ['ER1401', 'public.seen is a view', ['seen', '--map', ...good]],
    ['ER1401', 'is a table of event-runtime itself', ['event_runtime.outbox', '--map', ...good]],
    ['ER1402', 'payload: public.shop_events has no column body', wrong('payload=body')],
    ['ER1402', 'column raw is bytea, which cannot be read as json', wrong('payload=raw')],
    ['ER1402', 'column pad is character(4)', wrong('event_id=pad')],
    ['ER1402', 'tenant is not mapped', ['shop_events', '--preset', 'debezium']],
    ['ER1402', 'it is not of the form', wrong('payload')],
  ])('%s %s', async (code, message, flags) => {
    await using fixture = await create();
    await fixture.sql.query(
      'create view seen as select id from shop_events; alter table shop_events add raw bytea, add pad char(4)',
    );
    const ran = await fixture.run(['tables', 'attach', ...flags]);
    expect(ran.code).toBe(1);
    expect(ran.notes).toContain(code);
    expect(ran.notes).toContain(message);
    expect((await fixture.run(['tables'])).out).toBe('No table is attached.');
  });

  test('without our schema it says so', async () => {
    await using fixture = await OperationsFixture.create(inject('postgres')[version], { migrated: false });
    await fixture.sql.query(table);
    expect(await fixture.run(attach)).toMatchObject({ code: 1, notes: expect.stringContaining('ER1101') });
    expect((await fixture.run(['tables'])).out).toBe('No table is attached.');
  });

  test('twice is refused; a role that may not make a trigger is told what to grant', async () => {
    await using fixture = await create();
    const role = `migrator_${fixture.database.name}`;
    await fixture.sql.query(`create role ${role} login password 'secret'`);
    fixture.defer(() => fixture.sql.query(`drop owned by ${role}; drop role ${role}`));
    await fixture.run(attach);
    fixture.url = fixture.database.urlFor(role, 'secret');
    // A role that may not act for the owner of the schema can do neither.
    for (const words of [attach, ['tables', 'detach', 'shop_events']]) {
      expect(await fixture.run(words)).toMatchObject({ code: 1, notes: expect.stringContaining('ER1302') });
    }
    await fixture.sql.query('drop function event_runtime.attached_public_shop_events cascade');
    await fixture.sql.query(`grant event_runtime_owner to ${role}`);
    const refused = await fixture.run(attach);
    expect(refused.notes).toContain(`GRANT TRIGGER ON public.shop_events TO ${role};`);
    await fixture.sql.query(`grant trigger on shop_events to ${role}`);
    expect(await fixture.run(attach)).toMatchObject({ code: 0, notes: '' });
    const again = await fixture.run(attach);
    expect(again).toMatchObject({ code: 1, notes: expect.stringContaining('ER1403') });
    // The table is not its own, and the trigger is ours.
    expect(await fixture.run(['tables', 'detach', 'shop_events'])).toMatchObject({ code: 0, notes: '' });
  });

  test('doctor finds a trigger that is disabled or dropped, and a column that was renamed', async () => {
    await using fixture = await create();
    const { sql } = fixture;
    expect((await fixture.doctor()).filter(({ code }) => code.startsWith('ER14'))).toEqual([]);
    await fixture.run(attach);
    expect(found(await fixture.doctor(), 'ER1405')).toMatchObject({
      state: 'ok',
      name: 'table public.shop_events',
    });
    await sql.query('alter table shop_events rename column data to body');
    expect(found(await fixture.doctor(), 'ER1406')).toMatchObject({
      state: 'fail',
      seen: 'it has no column data',
    });
    await expect(sql.query(insert.replace('data', 'body'))).rejects.toThrow(
      'record "new" has no field "data"',
    );
    await sql.query('alter table shop_events rename column body to data');
    await sql.query('alter table shop_events disable trigger all');
    const disabled = found(await fixture.doctor(), 'ER1405');
    expect(disabled).toMatchObject({ state: 'fail', seen: 'its trigger is disabled on public.shop_events' });
    await sql.query(insert);
    expect(await events(sql)).toBe(0);
    await sql.query(disabled.fix ?? '');
    await sql.query(insert);
    expect(await events(sql)).toBe(1);
    await sql.query('alter table shop_events rename to renamed');
    expect(found(await fixture.doctor(), 'ER1405')).toMatchObject({
      state: 'ok',
      name: 'table public.renamed',
    });
    await sql.query('drop trigger event_runtime_emit on renamed');
    expect(found(await fixture.doctor(), 'ER1405')).toMatchObject({
      state: 'fail',
      seen: 'its trigger is missing',
    });
    expect((await fixture.run(['status'])).out).toContain('its trigger is missing  ER1405');
    expect((await fixture.run(['tables', 'detach', 'public.shop_events'])).code).toBe(0);
    expect((await fixture.doctor()).filter(({ code }) => code.startsWith('ER14'))).toEqual([]);
  });

  test('attached and detached under load: no INSERT fails, and each row of the time between is an event', async () => {
    await using fixture = await create();
    const writers = await Promise.all([1, 2, 3, 4].map(async () => await fixture.connect()));
    const stop = new AbortController();
    const load = writers.map(async (client) => {
      while (!stop.signal.aborted) {
        await client.query('begin');
        await client.query(insert);
        await client.query(insert);
        await client.query('commit');
      }
    });
    const rows = async (): Promise<Set<string>> =>
      new Set(
        (await fixture.sql.query<{ id: string }>('select id from shop_events')).rows.map(({ id }) => id),
      );
    for (let round = 0; round < 3; round += 1) {
      expect(await fixture.run(attach)).toMatchObject({ code: 0, notes: '' });
      const before = await rows();
      const until = before.size + 50;
      while ((await rows()).size < until);
      const during = [...(await rows())].filter((id) => !before.has(id));
      expect(await fixture.run(['tables', 'detach', 'shop_events'])).toMatchObject({ code: 0, notes: '' });
      const kept = await fixture.sql.query<{ key: string }>(
        "select o.headers->>'rowid' as key from event_runtime.outbox o",
      );
      const keys = new Set(kept.rows.map(({ key }) => key));
      expect(during.length).toBeGreaterThanOrEqual(50);
      expect(during.filter((id) => !keys.has(id))).toEqual([]);
      expect(keys.size).toBe(kept.rows.length);
    }
    stop.abort();
    await Promise.all(load);
  });

  test('a transaction that keeps the table: attach gives up in the end, and writers wait no longer than an attempt', async () => {
    await using fixture = await create();
    const holder = await fixture.connect();
    await holder.query('begin');
    await holder.query(insert);
    const mapping = parseMapping(attach.slice(4));
    const plan = await planAttachment(fixture.sql, { table: 'shop_events', mapping });
    await expect(attachTable(fixture.sql, { plan, lockTimeoutMs: 50, attempts: 2 })).rejects.toMatchObject({
      code: 'ER1407',
      retryable: true,
    });
    await holder.query('commit');
    await attachTable(fixture.sql, { plan, lockTimeoutMs: 50, attempts: 2 });
    await fixture.sql.query(insert);
    expect(await events(fixture.sql)).toBe(1);
  });

  test('uninstall that waits for a lock keeps the triggers until all of it can go', async () => {
    await using fixture = await create();
    await fixture.run(attach);
    const holder = await fixture.connect();
    await holder.query('begin; select from event_runtime.outbox');
    let ended = false;
    const uninstalled = fixture.run(['uninstall', '--yes']).finally(() => {
      ended = true;
    });
    const waits = async (): Promise<boolean> => {
      const { rows } = await fixture.sql.query(
        "select from pg_locks l where l.relation = 'event_runtime.outbox'::regclass and not l.granted",
      );
      return ended || rows.length > 0;
    };
    await expect.poll(waits, { timeout: 60_000, interval: 20 }).toBe(true);
    await fixture.sql.query(insert);
    expect(await events(holder)).toBe(1);
    await holder.query('commit');
    expect(await uninstalled).toMatchObject({ code: 0 });
    expect((await fixture.sql.query('select from pg_trigger where not tgisinternal')).rows).toHaveLength(0);
  });

  test('uninstall takes the trigger, and leaves the table', async () => {
    await using fixture = await create();
    await fixture.run(attach);
    const dry = await fixture.run(['uninstall', '--dry-run']);
    expect(dry.out).toContain('the trigger on table public.shop_events');
    await fixture.sql.query(insert);
    expect(await events(fixture.sql)).toBe(1);
    expect(await fixture.run(['uninstall', '--yes', '--json'])).toMatchObject({ code: 0 });
    await fixture.sql.query(insert);
    expect((await fixture.sql.query('select from shop_events')).rows).toHaveLength(2);
    expect((await fixture.sql.query('select from pg_trigger where not tgisinternal')).rows).toHaveLength(0);
  });
});

// 15: pg_dump must not be older than the server.
test.skipIf(pgDump === undefined)(
  'a dump brings it along, and restoring makes no events [needs pg-client]',
  async () => {
    await using fixture = await OperationsFixture.create(inject('postgres')['15'], { from: fewDays });
    await fixture.sql.query(table);
    await fixture.run(attach);
    await fixture.sql.query(insert);
    await using copy = await createTestDatabase(inject('postgres')['15']);
    await using folder = await mkdtempDisposable(join(tmpdir(), 'event-runtime-tables-'));
    const file = join(folder.path, 'dump');
    const run = promisify(execFile);
    await run(pgDump ?? '', ['--format=custom', `--file=${file}`, fixture.database.url]);
    await run(join(dirname(pgDump ?? ''), 'pg_restore'), ['--exit-on-error', `--dbname=${copy.url}`, file]);
    const client = new pg.Client({ connectionString: copy.url });
    await client.connect();
    try {
      expect(await events(client)).toBe(1);
      await client.query(insert);
      expect(await events(client)).toBe(2);
    } finally {
      await client.end();
    }
    fixture.url = copy.url;
    expect((await fixture.run(['tables', 'list', '--json'])).json()).toMatchObject({
      tables: [{ table: 'public.shop_events', trigger: 'enabled', missingColumns: [] }],
    });
  },
);
