import pg from 'pg';
import { dayMs, dayPartitionedTables, startOfDay } from '../../schema/partition-catalog.ts';
import type { LogFields, Logger } from '../../telemetry/logger.ts';
import {
  createMigratedDatabase,
  createPreparedTemplate,
  type MigratedDatabase,
} from '../../testing/migrated-database.ts';
import { planOf, type RetentionOptions } from './retention-options.ts';
import { retentionRound } from './retention-round.ts';

/** Ages in days at which partitions begin; those that are not a day long are wide. */
const beginnings = [100, 99, 60, 59, 40, 39, 38, 37, 20, 19, 0];

const today: number = startOfDay(Date.now());

/** A time in the middle of the day that was so many days ago. */
export const ago = (days: number): Date => new Date(today - days * dayMs + dayMs / 2);

/** The name of the partition of the day that was so many days ago. */
export function leaf(days: number, table = 'outbox'): string {
  return `${table}_${ago(days).toISOString().slice(0, 10).replaceAll('-', '')}`;
}

export interface Logged {
  readonly level: string;
  readonly event: string;
  readonly fields: LogFields;
}

/** A logger that remembers. */
export function remembering(lines: Logged[]): Logger {
  const at =
    (level: string) =>
    (event: string, fields: LogFields = {}): void => {
      lines.push({ level, event, fields });
    };
  const logger: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => logger,
  };
  return logger;
}

/** As if the schema had been there for a hundred days. */
async function makeOld(client: pg.Client): Promise<void> {
  await client.query('set role event_runtime_owner');
  const bounds = ['-infinity', ...beginnings.map((days) => new Date(today - days * dayMs).toISOString())];
  for (const table of dayPartitionedTables) {
    await client.query(`drop table event_runtime.${table}_underflow`);
    await client.query(
      `select event_runtime.partition_create($1, b.lower, b.upper)
         from unnest($2::timestamptz[], $3::timestamptz[]) as b(lower, upper)`,
      [table, bounds.slice(0, -1), bounds.slice(1)],
    );
  }
  await client.query('reset role');
}

/** Names of templates that are aged, by the cluster that they are in. */
const templates = new Map<string, Promise<string>>();

/** A schema that has been there for a hundred days, and retention under the rights that the docs ask for. */
export class RetentionFixture implements AsyncDisposable {
  readonly database: MigratedDatabase;
  /** A superuser. */
  readonly sql: pg.Client;
  /** Of a role that is a member of the service and owner roles. */
  readonly url: string;
  readonly logs: Logged[] = [];
  /** Why rounds were not done. */
  readonly failures: string[] = [];
  readonly #role: string;
  readonly #clusterUrl: string;
  readonly #clients: pg.Client[] = [];

  private constructor(database: MigratedDatabase, sql: pg.Client, clusterUrl: string) {
    this.database = database;
    this.sql = sql;
    this.#clusterUrl = clusterUrl;
    this.#role = `retention_${database.name}`;
    this.url = database.urlFor(this.#role, 'secret');
  }

  static async create(clusterUrl: string): Promise<RetentionFixture> {
    const template = templates.get(clusterUrl) ?? createPreparedTemplate(clusterUrl, makeOld);
    templates.set(clusterUrl, template);
    const database = await createMigratedDatabase(clusterUrl, await template);
    const fixture = new RetentionFixture(database, await database.connect(), clusterUrl);
    await fixture.sql.query(`create role ${fixture.#role} login password 'secret'`);
    await fixture.sql.query(`grant event_runtime_service, event_runtime_owner to ${fixture.#role}`);
    return fixture;
  }

  async rows<Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return (await this.sql.query<Row>(text, [...values])).rows;
  }

  /** A direct connection with the rights of the service. */
  async connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.url });
    client.on('error', () => undefined);
    await client.connect();
    this.#clients.push(client);
    return client;
  }

  /** Writes so many events of the day that was so many days ago. */
  async emit(
    days: number,
    { count = 1, client = this.sql }: { readonly count?: number; readonly client?: pg.Client } = {},
  ): Promise<void> {
    await client.query(
      `insert into event_runtime.outbox (event_id, tenant_id, event_type, entity_key, payload, recorded_at)
       select gen_random_uuid(), 'acme', 'old', 'e' || n, ' {"n":  1.0}', $1 from generate_series(1, $2::int) n`,
      [ago(days), count],
    );
  }

  /** How many events there are of each age, in days. */
  async ages(): Promise<Record<string, number>> {
    const rows = await this.rows<{ age: string; events: number }>(
      `select extract(day from $1::timestamptz - o.recorded_at)::text as age, count(*)::int as events
         from event_runtime.outbox o group by 1`,
      [new Date(today + dayMs / 2)],
    );
    return Object.fromEntries(rows.map(({ age, events }) => [age, events]));
  }

  /** A sink that has read everything that is committed now; or, without `read`, nothing. Also lets it go on. */
  async sink(
    sink: string,
    options: { readonly read: boolean; readonly relay?: string; readonly mode?: 'live' | 'table' },
  ): Promise<void> {
    await this.sql.query(
      `insert into event_runtime.relay_checkpoint (relay, sink, epoch, system_identifier, timeline, mode, snapshot)
       values ($1, $2, 1, (select c.system_identifier::text from pg_control_system() c), 1, $3, case when $4 then pg_current_snapshot() else '3:3:' end)
       on conflict (relay, sink, shard) do update set snapshot = excluded.snapshot, mode = excluded.mode`,
      [options.relay ?? 'event_runtime', sink, options.mode ?? 'table', options.read],
    );
  }

  /** `relay/sink` and what it has lost; only those that are marked. */
  async gaps(): Promise<Record<string, number>> {
    const rows = await this.rows<{ sink: string; events: number }>(
      `select c.relay || '/' || c.sink as sink, c.gapped_events::int as events
         from event_runtime.relay_checkpoint c where c.gapped_at is not null order by 1`,
    );
    return Object.fromEntries(rows.map(({ sink, events }) => [sink, events]));
  }

  /** One round. @returns whether every part was done */
  async round(
    options: Partial<RetentionOptions> & { readonly client?: pg.Client; readonly signal?: AbortSignal } = {},
  ): Promise<boolean> {
    const done = await retentionRound({
      client: options.client ?? (await this.connect()),
      plan: planOf({ connectionString: this.url, ...options }),
      logger: remembering(this.logs),
      signal: options.signal ?? new AbortController().signal,
    });
    if (!done) this.failures.push(...this.said('retention.failed').map((fields) => String(fields['error'])));
    return done;
  }

  /** The fields of what was logged under a name. */
  said(event: string): LogFields[] {
    return this.logs.filter((line) => line.event === event).map((line) => line.fields);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.end().catch(() => undefined)));
    await this.database[Symbol.asyncDispose]();
    const cluster = new pg.Client({ connectionString: this.#clusterUrl });
    await cluster.connect();
    await cluster.query(`drop role ${this.#role}`);
    await cluster.end();
  }
}
