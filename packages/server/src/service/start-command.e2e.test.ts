import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { EmbeddedPostgres } from '@event-runtime/runtime/testing';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Program } from '../program.suite.ts';

const key = randomBytes(32).toString('base64');

let server: EmbeddedPostgres;

beforeAll(async () => {
  server = await EmbeddedPostgres.start({ settings: { max_slot_wal_keep_size: '1GB' } });
});
afterAll(async () => {
  await server.stop();
});
const settings = (url: string): Record<string, string> => ({
  DATABASE_URL: url,
  EVENT_RUNTIME_SECRET_KEY: key,
});

test('start before migrate: exit 1 and the command to run; then it serves, and SIGTERM ends it with exit 0', async () => {
  await using early = new Program(['start'], { env: settings(server.url) });
  expect(await early.exit()).toBe(1);
  expect(early.errors).toMatch(/ER1101[\s\S]*npx event-runtime migrate/);

  await using migration = new Program(['migrate', '--json'], { env: { DATABASE_URL: server.url } });
  expect(await migration.exit()).toBe(0);
  expect(JSON.parse(migration.out)).toMatchObject({ version: expect.any(Number) });

  await using service = new Program(['start'], { env: settings(server.url) });
  await service.says('out', '"event":"service.started"');
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  const slot = async (): Promise<{ active: boolean } | undefined> =>
    (await client.query<{ active: boolean }>('select active from pg_replication_slots')).rows[0];
  while ((await slot())?.active !== true) await client.query('select pg_sleep(0.02)');
  await client.query("select event_runtime.emit('a', '{}', tenant_id => 'acme')");
  service.kill('SIGTERM');
  // What does not end within its grace period ends with another code.
  expect(await service.exit()).toBe(0);
  expect(await slot()).toEqual({ active: false });
  const { rows } = await client.query('select from pg_stat_activity where application_name like $1', [
    'event-runtime%',
  ]);
  expect(rows).toEqual([]);
  await client.end();
  // What is written to standard output is log lines, nothing else.
  for (const line of service.out.trimEnd().split('\n')) {
    expect(JSON.parse(line)).toMatchObject({ event: expect.any(String) });
  }
  expect(service.out).not.toContain(key);
});

test('a missing setting: exit 2 and a message for a person, or one object for a program', async () => {
  await using person = new Program(['start'], { env: { EVENT_RUNTIME_SECRET_KEY: key } });
  expect(await person.exit()).toBe(2);
  expect(person.out).toBe('');
  expect(person.errors).toMatch(/ER5001[\s\S]*databaseUrl is missing[\s\S]*→ Set DATABASE_URL=postgres:/);
  await using json = new Program(['start', '--json'], { env: { EVENT_RUNTIME_SECRET_KEY: key } });
  expect(await json.exit()).toBe(2);
  expect(JSON.parse(json.out)).toMatchObject({ error: { code: 'ER5001', retryable: false } });
});

/** Takes connections and never answers. */
async function silentHost(): Promise<
  AsyncDisposable & { readonly url: string; readonly asked: Promise<void> }
> {
  const sockets = new Set<{ destroy(): void }>();
  const asked = Promise.withResolvers<void>();
  const host = createServer((socket) => {
    sockets.add(socket);
    asked.resolve();
    socket.on('error', () => undefined);
  });
  host.listen(0, '127.0.0.1');
  await once(host, 'listening');
  return {
    url: `postgres://u@127.0.0.1:${(host.address() as { port: number }).port}/db`,
    asked: asked.promise,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      host.close();
      await once(host, 'close');
    },
  };
}

test('a database that never answers: SIGTERM still ends it, with exit 0', async () => {
  await using host = await silentHost();
  await using service = new Program(['start'], { env: settings(host.url) });
  await host.asked;
  service.kill('SIGTERM');
  expect(await service.exit()).toBe(0);
});

test('a second signal ends it at once', async () => {
  await using host = await silentHost();
  await using service = new Program(['start'], { env: settings(host.url) });
  await host.asked;
  service.kill('SIGTERM');
  await service.says('errors', 'once more ends at once');
  service.kill('SIGTERM');
  expect(await service.exit()).toBe(143);
});
