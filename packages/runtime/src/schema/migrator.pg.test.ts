import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, connect as dial, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import pg from 'pg';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { EmbeddedPostgres } from '../testing/embedded-postgres.ts';
import { createTestDatabase, type TestDatabase } from '../testing/test-database.ts';
import { dumpSchema } from './dump.ts';
import { migrationsDirectory, readMigrations } from './migration-files.ts';
import { migrate, planMigrations, schemaStatus } from './migrator.ts';

const versions = ['15', '18'] as const;

async function database(major: '15' | '18'): Promise<TestDatabase> {
  const made = await createTestDatabase(inject('postgres')[major]);
  onTestFinished(() => made[Symbol.asyncDispose]());
  return made;
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.end().catch(() => undefined));
  return client;
}

/** A copy of the package's migrations with changes: text by file name. */
async function migrationsWith(changes: Readonly<Record<string, string>>): Promise<URL> {
  const path = await mkdtemp(join(tmpdir(), 'migrations-'));
  onTestFinished(() => rm(path, { recursive: true }));
  await cp(fileURLToPath(migrationsDirectory), path, { recursive: true });
  for (const [name, text] of Object.entries(changes)) await writeFile(join(path, name), text);
  return pathToFileURL(`${path}/`);
}

const next = (await readMigrations()).length + 1;
const numbered = (name: string): string => `${String(next).padStart(4, '0')}_${name}.sql`;

describe.each(versions)('PostgreSQL %s', (major) => {
  test('20 concurrent migrations: all succeed, each file is applied once; again is a no-op', async () => {
    const { url } = await database(major);
    const results = await Promise.all(Array.from({ length: 20 }, () => migrate({ connectionString: url })));
    const known = (await readMigrations()).map((migration) => migration.number);
    expect(results.flatMap((result) => result.applied).toSorted((a, b) => a - b)).toEqual(known);
    expect(new Set(results.map((result) => result.version))).toEqual(new Set([known.length]));

    const client = await connect(url);
    const before = await client.query(
      'select number, applied_at from event_runtime.schema_migration order by 1',
    );
    expect(await migrate({ connectionString: url })).toEqual({ applied: [], version: known.length });
    const after = await client.query(
      'select number, applied_at from event_runtime.schema_migration order by 1',
    );
    expect(after.rows).toEqual(before.rows);
    expect(await schemaStatus(client)).toEqual({
      state: 'current',
      version: known.length,
      known: known.length,
      drifted: [],
    });
  });

  test('two new databases of a new cluster at once: both make the roles', async () => {
    await using server = await EmbeddedPostgres.start({
      package: major === '15' ? 'embedded-postgres-15' : 'embedded-postgres',
      settings: { fsync: 'off' },
    });
    const databases = await Promise.all(Array.from({ length: 6 }, () => createTestDatabase(server.url)));
    const results = await Promise.all(databases.map(({ url }) => migrate({ connectionString: url })));
    expect(results.map((result) => result.applied.length)).toEqual(databases.map(() => next - 1));
  });

  test('the plan is the SQL that would run, and changes nothing', async () => {
    const { url } = await database(major);
    const plan = await planMigrations({ connectionString: url });
    expect(plan.map((migration) => migration.name)).toEqual(
      (await readMigrations()).map((migration) => migration.name),
    );
    expect(plan[0]?.sql).toContain('create schema event_runtime');
    const client = await connect(url);
    expect((await schemaStatus(client)).state).toBe('missing');
    await migrate({ connectionString: url });
    expect(await planMigrations({ connectionString: url })).toEqual([]);
  });

  test('an edited migration is refused, and told by the status', async () => {
    const { url } = await database(major);
    await migrate({ connectionString: url });
    const file = '0002_partitions.sql';
    const text = await readFile(new URL(file, migrationsDirectory), 'utf8');
    const directory = await migrationsWith({ [file]: `${text}-- edited\n` });
    await expect(migrate({ connectionString: url, directory })).rejects.toMatchObject({ code: 'ER1103' });
    expect((await schemaStatus(await connect(url), { directory })).drifted).toEqual([2]);
  });

  test('a newer schema is accepted, a newer breaking one refused', async () => {
    const { url } = await database(major);
    const directory = await migrationsWith({ [numbered('fine')]: '-- Adds nothing.\nselect 1;\n' });
    await migrate({ connectionString: url, directory });
    const client = await connect(url);
    expect((await schemaStatus(client)).state).toBe('newer');
    expect(await migrate({ connectionString: url })).toEqual({ applied: [], version: next });

    await client.query('update event_runtime.schema_migration set breaking = true where number = $1', [next]);
    expect((await schemaStatus(client)).state).toBe('incompatible');
    await expect(migrate({ connectionString: url })).rejects.toMatchObject({ code: 'ER1102' });
    await expect(planMigrations({ connectionString: url })).rejects.toMatchObject({ code: 'ER1102' });
  });

  test('a migration that fails leaves nothing of itself, and what came before stays', async () => {
    const { url } = await database(major);
    const directory = await migrationsWith({
      [numbered('broken')]: 'create table event_runtime.half (id int);\nselect 1 / 0;\n',
    });
    const failure = migrate({ connectionString: url, directory });
    await expect(failure).rejects.toMatchObject({ code: 'ER1104' });
    await expect(failure).rejects.toThrow(/broken: division by zero/);
    const client = await connect(url);
    const { rows } = await client.query(
      "select to_regclass('event_runtime.half') as half, max(number) as newest from event_runtime.schema_migration",
    );
    expect(rows).toEqual([{ half: null, newest: next - 1 }]);
    expect((await schemaStatus(client, { directory })).state).toBe('behind');
    // The lock went with the connection: the next migration is not kept waiting.
    expect((await migrate({ connectionString: url })).applied).toEqual([]);
  });

  test('a role with CREATEROLE and CREATE on the database is enough, and makes the same schema', async () => {
    await using server = await EmbeddedPostgres.start({
      package: major === '15' ? 'embedded-postgres-15' : 'embedded-postgres',
      settings: { fsync: 'off' },
    });
    const admin = new pg.Client({ connectionString: server.url });
    await admin.connect();
    await admin.query("create role deployer login createrole password 'deployer'");
    const [own, reference] = [await createTestDatabase(server.url), await createTestDatabase(server.url)];
    await admin.query(`grant create on database ${own.name} to deployer`);
    await admin.end();
    const url = own.urlFor('deployer', 'deployer');
    expect((await migrate({ connectionString: url })).applied).toHaveLength(next - 1);
    await migrate({ connectionString: reference.url });
    expect(await dumpSchema(own.url)).toBe(await dumpSchema(reference.url));
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    expect((await schemaStatus(client)).state).toBe('current');
    await client.end();
  });

  test('a database that is not UTF8 is refused before anything is made', async () => {
    const cluster = inject('postgres')[major];
    const admin = await connect(cluster);
    const name = `latin_${process.pid}_${major}`;
    await admin.query(`create database ${name} template template0 encoding 'LATIN1' locale 'C'`);
    const url = new URL(cluster);
    url.pathname = `/${name}`;
    try {
      await expect(migrate({ connectionString: url.href })).rejects.toMatchObject({ code: 'ER1005' });
      const client = new pg.Client({ connectionString: url.href });
      await client.connect();
      const { rows } = await client.query("select 1 from pg_namespace where nspname = 'event_runtime'");
      await client.end();
      expect(rows).toEqual([]);
    } finally {
      await admin.query(`drop database ${name} with (force)`);
    }
  });

  test('a pooler in between is noticed', async () => {
    const { url } = await database(major);
    const pooled = await throughPooler(url);
    await expect(migrate({ connectionString: pooled })).rejects.toMatchObject({ code: 'ER1004' });
  });

  test('an abort ends the wait for another migration', async () => {
    const { url } = await database(major);
    const holder = await connect(url);
    await holder.query('select pg_advisory_lock(7308043215219323492)');
    const abort = new AbortController();
    const waiting = migrate({
      connectionString: url,
      signal: abort.signal,
      onProgress: (progress) => {
        if (progress.kind === 'waiting') abort.abort(new Error('enough'));
      },
    });
    await expect(waiting).rejects.toThrow('enough');
  });

  test('an abort ends a running migration, which is rolled back', async () => {
    const { url } = await database(major);
    const client = await connect(url);
    const directory = await migrationsWith({
      [numbered('long')]: 'create table event_runtime.half (id int);\nselect pg_sleep(60);\n',
    });
    const abort = new AbortController();
    const running = migrate({ connectionString: url, directory, signal: abort.signal });
    const outcome = running.catch((cause: unknown) => cause);
    for (;;) {
      const { rows } = await client.query(
        "select 1 from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'",
      );
      if (rows.length > 0) break;
    }
    abort.abort(new Error('enough'));
    expect(await outcome).toMatchObject({ message: 'enough' });
    await client.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'",
    );
    expect((await client.query("select to_regclass('event_runtime.half') as half")).rows[0]?.half).toBeNull();
  });
});

test('a server that is not there is ER1001', async () => {
  await expect(migrate({ connectionString: 'postgres://nobody@127.0.0.1:1/none' })).rejects.toMatchObject({
    code: 'ER1001',
  });
});

/** A proxy that gives the client another process id than the backend's, as poolers do. */
async function throughPooler(url: string): Promise<string> {
  const target = new URL(url);
  const { hostname, port } = target;
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const backend = dial(Number(port), hostname);
    for (const socket of [client, backend]) {
      open.add(socket);
      socket.on('error', () => socket.destroy());
    }
    client.pipe(backend);
    backend.on('data', (chunk) => {
      const at = chunk.indexOf(Buffer.from([0x4b, 0, 0, 0, 12]));
      if (at >= 0) chunk.writeInt32BE(chunk.readInt32BE(at + 5) + 1, at + 5);
      client.write(chunk);
    });
    backend.on('close', () => client.destroy());
    client.on('close', () => backend.destroy());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  const address = server.address();
  target.port = String(typeof address === 'object' ? address?.port : 0);
  return target.href;
}
