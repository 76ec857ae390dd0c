import { existsSync } from 'node:fs';
import pg from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { EmbeddedPostgres } from './embedded-postgres.ts';
import { createTestDatabase } from './test-database.ts';

async function one(url: string, text: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<{ value: unknown }>(text)).rows[0]?.value;
  } finally {
    await client.end();
  }
}

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  test('the shared cluster is of that version, logical and UTF8', async () => {
    const url = inject('postgres')[major];
    expect(await one(url, "select current_setting('server_version_num')::int / 10000 as value")).toBe(
      Number(major),
    );
    expect(await one(url, "select current_setting('wal_level') as value")).toBe('logical');
    expect(await one(url, "select current_setting('server_encoding') as value")).toBe('UTF8');
  });

  test('who has another password is refused, for all that guessing it costs little', async () => {
    const url = new URL(inject('postgres')[major]);
    const stored = 'select rolpassword as value from pg_authid where rolname = current_user';
    expect(await one(url.href, stored)).toMatch(/^SCRAM-SHA-256\$1:/);
    url.password = 'another';
    await expect(one(url.href, stored)).rejects.toMatchObject({ code: '28P01' });
  });

  test('a test database goes away with its slots', async () => {
    const url = inject('postgres')[major];
    const database = await createTestDatabase(url);
    await one(
      database.url,
      `select pg_create_logical_replication_slot('s_${database.name}', 'pgoutput') as value`,
    );
    await database[Symbol.asyncDispose]();
    expect(
      await one(url, `select count(*)::int as value from pg_database where datname = '${database.name}'`),
    ).toBe(0);
  });
});

test('a killed server comes back with what was committed, and leaves no files behind at stop', async () => {
  const server = await EmbeddedPostgres.start();
  await one(server.url, 'create table kept (id int)');
  await one(server.url, 'insert into kept values (1)');
  await server.kill();
  await server.resume();
  expect(await one(server.url, 'select count(*)::int as value from kept')).toBe(1);
  await server.stop();
  expect(existsSync(server.dataDirectory)).toBe(false);
});

describe.each([
  ['15', 'embedded-postgres-15'],
  ['18', 'embedded-postgres'],
])('PostgreSQL %s', (_major, name) => {
  test('a standby follows while it is written to, outlives a killed primary, and is promoted', async () => {
    await using primary = await EmbeddedPostgres.start({ package: name, settings: { fsync: 'off' } });
    await one(primary.url, 'create table followed (id int)');
    await one(primary.url, 'insert into followed select generate_series(1, 10000)');
    await using standby = await primary.standby({ slot: 'follower' });
    await one(primary.url, 'insert into followed values (0)');
    const count = (): Promise<unknown> => one(standby.url, 'select count(*)::int as value from followed');
    await expect.poll(count, { timeout: 60_000 }).toBe(10_001);
    expect(await one(standby.url, 'select pg_is_in_recovery() as value')).toBe(true);
    await expect(one(standby.url, 'insert into followed values (1)')).rejects.toMatchObject({
      code: '25006',
    });
    await primary.kill();
    await standby.promote();
    await one(standby.url, 'insert into followed values (1)');
    expect(await count()).toBe(10_002);
    await primary.stop();
    await standby.stop();
    expect([existsSync(primary.dataDirectory), existsSync(standby.dataDirectory)]).toEqual([false, false]);
  });
});
