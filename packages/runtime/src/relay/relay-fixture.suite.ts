import pg from 'pg';
import type { LoggedEvent } from '../log/outbox-event.ts';
import { describeSlot } from '../replication/slot.ts';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { ConsumerSink } from '../sinks/consumer/consumer-sink.ts';
import { createLogger } from '../telemetry/logger.ts';
import { createMigratedDatabase, fewDays, type MigratedDatabase } from '../testing/migrated-database.ts';
import { scramVerifier } from '../testing/scram-verifier.ts';
import { WebhookSink } from '../webhooks/fan-out.ts';
import { Relay, type RelayOptions, type SinkSource } from './relay.ts';

export interface Emit {
  readonly eventType?: string;
  readonly tenantId?: string;
  readonly entityKey?: string | null;
  /** JSON text. Default `{}`. */
  readonly payload?: string;
}

/** What a consumer was handed over, and a gate before it. */
export class Consumer {
  readonly name: string;
  /** In the order of success. */
  readonly events: LoggedEvent[] = [];
  /** Called for each event before it counts; throwing makes it fail. */
  gate: (event: LoggedEvent) => Promise<void> | void = () => undefined;

  constructor(name = 'consumer') {
    this.name = name;
  }

  get source(): SinkSource {
    return { name: this.name, create: () => this.sink() };
  }

  sink(): ConsumerSink {
    return new ConsumerSink({
      name: this.name,
      retryAfterMs: 5,
      handle: async (event) => {
        await this.gate(event);
        this.events.push(event);
      },
    });
  }

  get types(): string[] {
    return this.events.map(({ event }) => event.eventType);
  }

  /** Resolves when so many events have come, or more. */
  async has(count: number): Promise<void> {
    await eventually(
      async () => this.events.length,
      (length) => length >= count,
    );
  }
}

/** A migrated database and relays on it; the pool has the rights of the service role. */
export class RelayFixture implements AsyncDisposable {
  readonly database: MigratedDatabase;
  readonly pool: pg.Pool;
  readonly sql: pg.Client;
  readonly slot: string;
  readonly logs: Array<Readonly<Record<string, unknown>>> = [];
  readonly #relays: Relay[] = [];

  /** As a role that may use replication and act for the service, and nothing else. */
  readonly url: string;

  private constructor(database: MigratedDatabase, sql: pg.Client) {
    this.database = database;
    this.sql = sql;
    const url = new URL(database.url);
    url.username = `relay_${database.name}`;
    url.password = 'secret';
    this.url = url.href;
    this.slot = `slot_${database.name}`;
    this.pool = new pg.Pool({
      connectionString: database.url,
      options: '-c role=event_runtime_service',
      application_name: 'pool of the test',
      max: 6,
    });
    this.pool.on('error', () => undefined);
  }

  /** @param from the template of the database */
  static async create(clusterUrl: string, from: string = fewDays): Promise<RelayFixture> {
    const database = await createMigratedDatabase(clusterUrl, from);
    const fixture = new RelayFixture(database, await database.connect());
    await fixture.sql.query(
      `create role relay_${database.name} login replication password '${scramVerifier('secret')}' in role event_runtime_service`,
    );
    return fixture;
  }

  /** The fan-out of webhooks. */
  get webhooks(): SinkSource {
    return { name: 'webhooks', create: (owner) => new WebhookSink({ pool: this.pool, owner }) };
  }

  /** A relay with short intervals, stopped at dispose. */
  relay(sinks: readonly SinkSource[], options: Partial<Omit<RelayOptions, 'sinks'>> = {}): Relay {
    const relay = new Relay({
      connectionString: this.url,
      name: this.slot,
      logger: createLogger({
        level: 'debug',
        destination: { write: (line) => void this.logs.push(JSON.parse(line) as Record<string, unknown>) },
      }),
      checkpointMs: 20,
      // A machine that stands still for a few seconds does not end it: a session that begins anew repeats.
      leaseMs: 12_000,
      sinks,
      ...options,
    });
    this.#relays.push(relay);
    return relay;
  }

  /** Resolves when every sink of a relay is fed from the WAL. */
  async live(relay: Relay): Promise<void> {
    await eventually(
      async () => relay.status,
      (status) => status.length > 0 && status.every(({ mode }) => mode === 'live'),
    );
  }

  /** Emits one event; in a transaction of its own unless the client is in one. Returns its id. */
  async emit(event: Emit = {}, client: Pick<pg.Client, 'query'> = this.sql): Promise<string> {
    const { rows } = await client.query<{ event_id: string }>(
      'select event_id from event_runtime.emit($1, $2::json, $3, $4)',
      [
        event.eventType ?? 'thing.happened',
        event.payload ?? '{}',
        event.tenantId ?? 'acme',
        event.entityKey === undefined ? 'entity' : event.entityKey,
      ],
    );
    return rows[0]!.event_id;
  }

  async rows<T extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<T[]> {
    return (await this.sql.query<T>(text, values)).rows;
  }

  async confirmed(): Promise<bigint> {
    return (await describeSlot(this.sql, this.slot))?.confirmedFlushLsn ?? 0n;
  }

  /** Where the log stands now. */
  async walPosition(): Promise<bigint> {
    const [row] = await this.rows<{ at: string }>("select pg_current_wal_lsn() - '0/0'::pg_lsn as at");
    return BigInt(row!.at);
  }

  async confirmedReaches(position: bigint): Promise<void> {
    await eventually(
      () => this.confirmed(),
      (at) => at >= position,
    );
  }

  /** Resolves when this event of the log was logged, after so many lines. */
  async logged(event: string, options: { readonly after?: number } = {}): Promise<Record<string, unknown>> {
    const find = (): Record<string, unknown> | undefined =>
      this.logs.slice(options.after ?? 0).find((line) => line['event'] === event);
    await eventually(
      async () => find(),
      (line) => line !== undefined,
    );
    return find()!;
  }

  /** Ends the connection that reads the slot, as soon as there is one. */
  async cut(): Promise<void> {
    await eventually(
      () =>
        this.rows(
          'select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1 and active',
          [this.slot],
        ),
      (told) => told.length === 1,
    );
  }

  async slotIsFree(): Promise<void> {
    await eventually(
      () => describeSlot(this.sql, this.slot),
      (state) => state?.active !== true,
    );
  }

  /** Drops the slot from under a running relay, which comes back at once: whoever drops it must be faster. */
  async seizeSlot(then = ''): Promise<void> {
    await this.rows(
      `do $$
       begin
         loop
           begin
             perform pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '${this.slot}';
             perform pg_drop_replication_slot('${this.slot}');
             ${then}
             exit;
           exception when object_in_use then
             perform pg_sleep(0.001);
           end;
         end loop;
       end $$`,
    );
  }

  async dropSlot(): Promise<void> {
    await this.slotIsFree();
    await this.rows('select pg_drop_replication_slot($1)', [this.slot]);
  }

  /** Also where the database is gone, and nothing else can be put away. */
  async stopRelays(): Promise<void> {
    await Promise.all(this.#relays.map((relay) => relay.stop({ graceMs: 1_000 })));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopRelays();
    await this.pool.end();
    await this.sql.query(`drop role relay_${this.database.name}`);
    await this.database[Symbol.asyncDispose]();
  }
}

/** The ids that a consumer got, by tenant and entity. */
export function byEntity(events: readonly LoggedEvent[]): Map<string, string[]> {
  const entities = new Map<string, string[]>();
  for (const { event } of events) {
    const key = `${event.tenantId}/${event.entityKey}`;
    entities.set(key, [...(entities.get(key) ?? []), event.eventId]);
  }
  return entities;
}
