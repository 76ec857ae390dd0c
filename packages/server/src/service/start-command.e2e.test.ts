import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { EmbeddedPostgres } from '@event-runtime/runtime/testing';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

const program = new URL('../../bin/event-runtime.js', import.meta.url).pathname;
const key = randomBytes(32).toString('base64');

/** A real process of the program as built. */
class Program {
  out = '';
  errors = '';
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown[]>;

  constructor(args: readonly string[], env: Readonly<Record<string, string>>) {
    this.#child = spawn(process.execPath, [program, ...args], {
      env: { PATH: process.env['PATH'], NO_COLOR: '1', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stdout?.on('data', (chunk: Buffer) => (this.out += chunk.toString()));
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.errors += chunk.toString()));
    this.#exit = once(this.#child, 'close');
    started.push(this);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves when it has written this. */
  async says(stream: 'out' | 'errors', text: string): Promise<void> {
    while (!this[stream].includes(text)) {
      const source = stream === 'out' ? this.#child.stdout : this.#child.stderr;
      const ended = this.#exit.then(() => {
        if (this[stream].includes(text)) return;
        throw new Error(`it ended without ${text}:\n${this.out}\n${this.errors}`);
      });
      await Promise.race([once(source!, 'data'), ended]);
    }
  }

  async exit(): Promise<number | null> {
    const [code] = await this.#exit;
    return code as number | null;
  }
}

let started: Program[] = [];
let server: EmbeddedPostgres;

beforeAll(async () => {
  server = await EmbeddedPostgres.start({ settings: { max_slot_wal_keep_size: '1GB' } });
});
afterAll(async () => {
  await server.stop();
});
afterEach(async () => {
  for (const each of started) each.kill('SIGKILL');
  await Promise.all(started.map((each) => each.exit()));
  started = [];
});

const settings = (url: string): Record<string, string> => ({
  DATABASE_URL: url,
  EVENT_RUNTIME_SECRET_KEY: key,
});

test('start before migrate: exit 1 and the command to run; then it serves, and SIGTERM ends it with exit 0', async () => {
  const early = new Program(['start'], settings(server.url));
  expect(await early.exit()).toBe(1);
  expect(early.errors).toMatch(/ER1101[\s\S]*npx event-runtime migrate/);

  const migration = new Program(['migrate', '--json'], { DATABASE_URL: server.url });
  expect(await migration.exit()).toBe(0);
  expect(JSON.parse(migration.out)).toMatchObject({ version: expect.any(Number) });

  const service = new Program(['start'], settings(server.url));
  await service.says('out', '"event":"service.started"');
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  const slot = async (): Promise<{ active: boolean } | undefined> =>
    (await client.query<{ active: boolean }>('select active from pg_replication_slots')).rows[0];
  while ((await slot())?.active !== true) await client.query('select pg_sleep(0.02)');
  await client.query("select event_runtime.emit('a', '{}', tenant_id => 'acme')");
  const at = performance.now();
  service.kill('SIGTERM');
  expect(await service.exit()).toBe(0);
  expect(performance.now() - at).toBeLessThan(5_000);
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
  const person = new Program(['start'], { EVENT_RUNTIME_SECRET_KEY: key });
  expect(await person.exit()).toBe(2);
  expect(person.out).toBe('');
  expect(person.errors).toMatch(/ER5001[\s\S]*databaseUrl is missing[\s\S]*→ Set DATABASE_URL=postgres:/);
  const json = new Program(['start', '--json'], { EVENT_RUNTIME_SECRET_KEY: key });
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
  const service = new Program(['start'], settings(host.url));
  await host.asked;
  service.kill('SIGTERM');
  const at = performance.now();
  expect(await service.exit()).toBe(0);
  expect(performance.now() - at).toBeLessThan(10_000);
});

test('a second signal ends it at once', async () => {
  await using host = await silentHost();
  const service = new Program(['start'], settings(host.url));
  await host.asked;
  service.kill('SIGTERM');
  await service.says('errors', 'once more ends at once');
  service.kill('SIGTERM');
  expect(await service.exit()).toBe(143);
});
