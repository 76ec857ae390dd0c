import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EmbeddedPostgres } from '../../../runtime/src/testing/embedded-postgres.ts';
import { fewDays } from '../../../runtime/src/testing/migrated-database.ts';
import { ownServer } from '../../../runtime/src/testing/own-server.suite.ts';
import { found, OperationsFixture } from './operations-fixture.suite.ts';

/** What stands between a command's code and its page: the text that says what to do. */
async function told(fixture: OperationsFixture, ...args: string[]): Promise<string> {
  const ran = await fixture.run(args);
  expect(ran).toMatchObject({ code: 1, out: '' });
  expect(ran.notes).toMatch(/\n {4}docs\/operations\/doctor\.md#er\d{4}$/);
  return ran.notes;
}

/** What goes wrong in the first hour: each has a code, and says what to do about just that. */
describe.each([
  ['15', 'embedded-postgres-15'],
  ['18', 'embedded-postgres'],
] as const)('PostgreSQL %s', (_version, binaries) => {
  let server: EmbeddedPostgres;
  beforeAll(async () => {
    server = await ownServer(binaries, {
      max_replication_slots: '1',
      max_wal_senders: '1',
      max_slot_wal_keep_size: '1GB',
    });
  });
  afterAll(async () => {
    await server.stop();
  });

  /** A fixture whose commands go to a URL that was changed. */
  async function at(change: (url: URL) => void): Promise<OperationsFixture> {
    const fixture = await OperationsFixture.create(server.url, { from: fewDays });
    const url = new URL(fixture.url);
    change(url);
    fixture.url = url.href;
    return fixture;
  }

  /** A role of the fixture's database, dropped with it. */
  async function withRole(fixture: OperationsFixture, attributes: string): Promise<string> {
    const role = `app_${fixture.database.name}`;
    await fixture.sql.query(`create role ${role} login password 'secret' ${attributes}`);
    fixture.defer(() => fixture.sql.query(`drop role ${role}`));
    fixture.defer(() => fixture.sql.query(`drop owned by ${role}`));
    fixture.url = fixture.database.urlFor(role, 'secret');
    return role;
  }

  test.each([
    ['nobody listens', (url: URL) => (url.port = '1'), /ECONNREFUSED[\s\S]*→ Check DATABASE_URL, that/],
    ['no such host', (url: URL) => (url.hostname = 'nowhere.invalid'), /→ Correct the host in DATABASE_URL/],
    [
      'a wrong password',
      (url: URL) => (url.password = 'hunter2'),
      /password authentication failed[\s\S]*→ Correct the user or the password in DATABASE_URL .*%2F/,
    ],
    [
      'no such database',
      (url: URL) => (url.pathname = '/nonesuch'),
      /"nonesuch" does not exist[\s\S]*→ Run `CREATE DATABASE <name>/,
    ],
    [
      'TLS that the server has not',
      (url: URL) => (url.search = '?sslmode=verify-full'),
      /→ Take sslmode out of DATABASE_URL/,
    ],
  ])('%s: ER1001 and what to do', async (_what, change, expected) => {
    await using fixture = await at(change);
    for (const args of [['migrate'], ['status'], ['slot', 'create']]) {
      const notes = await told(fixture, ...args);
      expect(notes).toMatch(/^✗ ER1001 {2}The database cannot be reached\./);
      expect(notes).toMatch(expected);
      expect(notes).not.toContain('hunter2');
    }
    const [check] = await fixture.doctor();
    expect(`${check?.seen}\n→ ${check?.fix}`).toMatch(expected);
    const { error } = (await fixture.run(['status', '--json'])).json();
    expect(error).toMatchObject({ code: 'ER1001', retryable: true, remedy: check?.fix, page: check?.page });
  });

  test('a role that may log in with TLS only: ER1001, pg_hba.conf and sslmode', async () => {
    await using fixture = await at(() => undefined);
    const role = await withRole(fixture, '');
    const file = join(server.dataDirectory, 'pg_hba.conf');
    const before = await readFile(file, 'utf8');
    await writeFile(file, `host all ${role} all reject\n${before}`);
    await fixture.sql.query('select pg_reload_conf()');
    fixture.defer(async () => {
      await writeFile(file, before);
      await fixture.sql.query('select pg_reload_conf()');
    });
    const reason = async (): Promise<string> => (await fixture.run(['status'])).notes;
    while (!(await reason()).includes('pg_hba.conf')) await fixture.sql.query('select pg_sleep(0.02)');
    expect(await told(fixture, 'status')).toMatch(/ER1001[\s\S]*→ .*hostssl.*`\?sslmode=verify-full`/);
  });

  test('connections are used up, or not for this role: ER1001', async () => {
    await using fixture = await at(() => undefined);
    const role = await withRole(fixture, 'connection limit 0');
    expect(await told(fixture, 'status')).toMatch(/ER1001[\s\S]*→ End connections that nobody needs/);
    await fixture.sql.query(`alter role ${role} connection limit -1`);
    await fixture.sql.query(`revoke connect on database ${fixture.database.name} from public`);
    expect(await told(fixture, 'status')).toMatch(/ER1001[\s\S]*→ Run `GRANT CONNECT ON DATABASE/);
  });

  test('no replication privilege: ER1003, with the statement that gives it', async () => {
    await using fixture = await at(() => undefined);
    const role = await withRole(fixture, '');
    expect(await told(fixture, 'slot', 'create')).toMatch(
      /ER1003[\s\S]*→ Run `ALTER ROLE <role> REPLICATION;`/,
    );
    await fixture.sql.query(`alter role ${role} replication`);
    expect(await fixture.run(['slot', 'create'])).toMatchObject({ code: 0 });
    await fixture.run(['slot', 'drop', '--yes']);
  });

  test('every slot is used, or every walsender: ER1301, with the settings to raise', async () => {
    await using fixture = await at(() => undefined);
    await fixture.sql.query("select pg_create_physical_replication_slot('left_behind')");
    const slots = await told(fixture, 'slot', 'create');
    expect(slots).toMatch(
      /ER1301[\s\S]*slots are in use[\s\S]*→ Raise max_replication_slots and max_wal_senders/,
    );
    await fixture.sql.query("select pg_drop_replication_slot('left_behind')");
    const config: pg.ClientConfig & { replication: string } = {
      connectionString: fixture.url,
      replication: 'database',
    };
    const reader = new pg.Client(config);
    await reader.connect();
    try {
      expect(await told(fixture, 'slot', 'create')).toMatch(/ER1301[\s\S]*max_wal_senders[\s\S]*→ Raise/);
    } finally {
      await reader.end();
    }
  });

  test('migrations were not applied: ER1101 from every command, with the one to run', async () => {
    await using fixture = await OperationsFixture.create(server.url, { migrated: false });
    for (const args of [['lag', '--json'], ['sinks'], ['sinks', 'pause', 'webhooks'], ['slot']]) {
      const ran = await fixture.run(args);
      expect([args, ran.code]).toEqual([args, 1]);
      expect(ran.out + ran.notes).toMatch(/ER1101[\s\S]*Run `npx event-runtime migrate`/);
    }
    for (const args of [['status'], ['doctor']]) {
      const ran = await fixture.run(args);
      expect([args, ran.code]).toEqual([args, 3]);
      expect(ran.out).toMatch(/ER1101[\s\S]*→ Run `npx event-runtime migrate`/);
    }
  });

  test('a newer program migrated it: ER1102, from status, doctor and migrate', async () => {
    await using fixture = await at(() => undefined);
    await fixture.sql.query(
      "insert into event_runtime.schema_migration (number, name, checksum, breaking) values (900, 'future', 'x', true)",
    );
    expect(await told(fixture, 'migrate')).toMatch(/ER1102[\s\S]*→ Upgrade event-runtime to the version/);
    for (const command of ['status', 'doctor']) {
      const ran = await fixture.run([command]);
      expect(ran.code).toBe(3);
      expect(ran.out).toMatch(/ER1102[\s\S]*→ Upgrade event-runtime/);
    }
  });

  test('a role without rights: ER1302, with the grant', async () => {
    await using fixture = await at(() => undefined);
    await withRole(fixture, '');
    for (const args of [['sinks'], ['sinks', 'pause', 'webhooks'], ['lag', '--json']]) {
      const ran = await fixture.run(args);
      expect([args, ran.code]).toEqual([args, 1]);
      expect(ran.out + ran.notes).toMatch(/ER1302[\s\S]*GRANT event_runtime_service, event_runtime_owner TO/);
    }
    expect(await told(fixture, 'migrate', '--status')).toMatch(/ER1302/);
  });

  test('a slow or fast clock: ER1311, with what to look after', async () => {
    await using fixture = await at(() => undefined);
    const late = await fixture.doctor({ clock: () => Date.now() - 3_600_000 });
    expect(found(late, 'ER1311')).toMatchObject({ state: 'warn', fix: expect.stringContaining('NTP') });
  });
});
