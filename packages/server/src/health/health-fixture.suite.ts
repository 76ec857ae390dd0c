import { createLogger, NullSink, Relay, type SinkSource } from '@event-runtime/runtime';
import {
  createMigratedDatabase,
  createTestDatabase,
  type TestDatabase,
} from '@event-runtime/runtime/testing';
import { FaultProxy } from '@event-runtime/simulators';
import pg from 'pg';
import { fewDays } from '../../../runtime/src/testing/migrated-database.ts';
import { configurationWith } from '../config/load-configuration.ts';
import { createHealth } from './create-health.ts';
import type { HealthServer } from './health-server.ts';
import type { Readiness } from './readiness.ts';

/** A migrated database behind a network that can fail, relays on it, and their health. */
export class HealthFixture implements AsyncDisposable {
  readonly database: TestDatabase;
  readonly proxy: FaultProxy;
  readonly sql: pg.Client;
  readonly name: string;
  readonly #stack: AsyncDisposableStack;

  private constructor(parts: {
    readonly database: TestDatabase;
    readonly proxy: FaultProxy;
    readonly sql: pg.Client;
    readonly stack: AsyncDisposableStack;
  }) {
    this.database = parts.database;
    this.proxy = parts.proxy;
    this.sql = parts.sql;
    this.name = `relay_${parts.database.name}`;
    this.#stack = parts.stack;
  }

  /** @param options `from`: the template of a migrated database */
  static async create(
    clusterUrl: string,
    { migrated = true, from = fewDays }: { readonly migrated?: boolean; readonly from?: string } = {},
  ): Promise<HealthFixture> {
    const stack = new AsyncDisposableStack();
    const database = stack.use(
      await (migrated ? createMigratedDatabase(clusterUrl, from) : createTestDatabase(clusterUrl)),
    );
    const proxy = stack.use(await FaultProxy.start({ target: new URL(database.url) }));
    const sql = new pg.Client({ connectionString: database.url });
    sql.on('error', () => undefined);
    await sql.connect();
    stack.defer(async () => await sql.end());
    return new HealthFixture({ database, proxy, sql, stack });
  }

  /** A replica, through the proxy; neither of its parts is started. */
  replica(sinks: readonly SinkSource[] = [nullSource]): {
    readonly relay: Relay;
    readonly health: HealthServer;
  } {
    const logger = createLogger({ level: 'silent' });
    const configuration = configurationWith({
      databaseUrl: this.proxy.url(this.database.url),
      'relay.name': this.name,
      'http.port': 0,
    });
    const { databaseUrl: connectionString, relay: relaying } = configuration;
    const relay = new Relay({ connectionString, logger, ...relaying, checkpointMs: 20, sinks });
    const health = createHealth({
      configuration,
      logger,
      parts: [relay],
      relay,
      freshMs: 200,
      patienceMs: 1_000,
    });
    this.#stack.defer(async () => {
      await relay.stop({ graceMs: 1_000 });
      await health.stop({ graceMs: 1_000 });
    });
    return { relay, health };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }
}

const nullSource: SinkSource = { name: 'nothing', create: () => new NullSink({ name: 'nothing' }) };

/** What a replica answers now. */
export async function readyz(health: HealthServer): Promise<Readiness & { readonly status: number }> {
  const response = await fetch(`http://127.0.0.1:${health.address?.port}/readyz`);
  return { status: response.status, ...((await response.json()) as Readiness) };
}

/** The values of a scrape, by name and labels as they are written. */
export async function scraped(health: HealthServer): Promise<Map<string, number>> {
  const response = await fetch(`http://127.0.0.1:${health.address?.port}/metrics`);
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  const lines = (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(' ')),
      Number(line.slice(line.lastIndexOf(' ') + 1)),
    ]),
  );
}
