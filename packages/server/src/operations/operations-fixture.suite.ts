import { createLogger, MemorySink, Relay, type SinkSource } from '@event-runtime/runtime';
import {
  createMigratedDatabase,
  createTestDatabase,
  type TestDatabase,
} from '@event-runtime/runtime/testing';
import pg from 'pg';
import { createColors } from 'picocolors';
import { composition } from '../cli/commands.ts';
import { run } from '../cli/run.ts';
import { eventually } from '../eventually.suite.ts';
import type { Check } from './check.ts';
import { type DoctorOptions, runDoctor } from './doctor.ts';
import type { RelaySettings } from './site.ts';

/** What a command line did. */
export interface Ran {
  readonly code: number;
  /** Standard output. */
  readonly out: string;
  /** Standard error. */
  readonly notes: string;
  /** What `--json` printed. */
  readonly json: () => Record<string, unknown>;
}

export interface RunOptions {
  readonly signal?: AbortSignal;
  /** Whether the terminal redraws; what it redraws comes here. */
  readonly onRedraw?: (text: string) => void;
  readonly onOut?: (line: string) => void;
  readonly onNote?: (line: string) => void;
}

/** A database, relays on it, and the program's command line run against it in this process. */
export class OperationsFixture implements AsyncDisposable {
  readonly database: TestDatabase;
  readonly sql: pg.Client;
  /** Of the relay and of its slot. */
  readonly name: string;
  /** In whose name the commands run; default the superuser. */
  url: string;
  readonly #stack: AsyncDisposableStack;

  private constructor(parts: { database: TestDatabase; sql: pg.Client; stack: AsyncDisposableStack }) {
    this.database = parts.database;
    this.sql = parts.sql;
    this.#stack = parts.stack;
    this.url = parts.database.url;
    this.name = `relay_${parts.database.name}`;
  }

  /** @param options `from`: the template of a migrated database */
  static async create(
    clusterUrl: string,
    { migrated = true, from }: { readonly migrated?: boolean; readonly from?: string } = {},
  ): Promise<OperationsFixture> {
    const stack = new AsyncDisposableStack();
    const database = stack.use(
      await (migrated ? createMigratedDatabase(clusterUrl, from) : createTestDatabase(clusterUrl)),
    );
    const sql = new pg.Client({ connectionString: database.url });
    sql.on('error', () => undefined);
    await sql.connect();
    stack.defer(async () => await sql.end());
    return new OperationsFixture({ database, sql, stack });
  }

  get settings(): RelaySettings {
    return {
      connectionString: this.url,
      relay: this.name,
      slot: this.name,
      source: 'wal',
      shards: 1,
      failover: true,
      files: [],
      nats: [],
      routes: undefined,
    };
  }

  /** What `doctor` finds, by code where something is wrong. */
  async doctor(options: Partial<DoctorOptions> = {}): Promise<readonly Check[]> {
    return await runDoctor({
      settings: this.settings,
      signal: new AbortController().signal,
      env: {},
      ...options,
    });
  }

  /** A relay with a memory sink that takes `room` events, started; stopped at dispose. */
  async relay(room = 10_000): Promise<Relay> {
    const source: SinkSource = {
      name: 'memory',
      create: () => new MemorySink({ name: 'memory', maxEvents: room }),
    };
    const relay = new Relay({
      connectionString: this.database.url,
      name: this.name,
      logger: createLogger({ level: 'silent' }),
      checkpointMs: 20,
      sinks: [source],
    });
    this.#stack.defer(async () => await relay.stop({ graceMs: 1_000 }));
    await relay.start();
    return relay;
  }

  /** Resolves when every sink of a relay is fed from the WAL. */
  async live(relay: Relay): Promise<void> {
    await eventually(
      async () => relay.status,
      (status) => status.length > 0 && status.every(({ mode }) => mode === 'live'),
    );
  }

  async emit(count = 1): Promise<void> {
    for (let n = 0; n < count; n += 1) {
      await this.sql.query("select event_runtime.emit('a', '{}', tenant_id => 'acme')");
    }
  }

  /** Another connection, ended at dispose. */
  async connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.database.url });
    client.on('error', () => undefined);
    await client.connect();
    this.#stack.defer(async () => await client.end());
    return client;
  }

  /** Runs the program's own command line. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    const [out, notes] = [[] as string[], [] as string[]];
    const code = await run({
      args: [...args, '--no-config'],
      terminal: {
        out: (line) => {
          out.push(line);
          options.onOut?.(line);
        },
        note: (line) => {
          notes.push(line);
          options.onNote?.(line);
        },
        redraw: (text) => options.onRedraw?.(text),
        interactive: options.onRedraw !== undefined,
        columns: 80,
        colors: createColors(false),
      },
      env: { DATABASE_URL: this.url, EVENT_RUNTIME_RELAY_NAME: this.name },
      signal: options.signal ?? new AbortController().signal,
      composition,
    });
    return {
      code,
      out: out.join('\n'),
      notes: notes.join('\n'),
      json: () => JSON.parse(out.join('\n')) as Record<string, unknown>,
    };
  }

  defer(work: () => Promise<unknown>): void {
    this.#stack.defer(async () => void (await work()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }
}

/** The check of a code. */
export function found(checks: readonly Check[], code: string): Check {
  const matching = checks.filter((check) => check.code === code);
  if (matching.length !== 1) {
    throw new Error(`${matching.length} checks of ${code} in ${JSON.stringify(checks, undefined, 1)}`);
  }
  return matching[0] as Check;
}
