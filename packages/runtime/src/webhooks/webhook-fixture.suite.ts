import pg from 'pg';
import { type Checkpoint, type CheckpointOwner, claimCheckpoints } from '../log/checkpoint.ts';
import type { LoggedEvent, Position } from '../log/outbox-event.ts';
import { Snapshot } from '../log/snapshot.ts';
import { parseLsn, toLsn } from '../replication/lsn.ts';
import type { DeliveryResult } from '../sinks/sink.ts';
import { createMigratedDatabase, fewDays, type MigratedDatabase } from '../testing/migrated-database.ts';
import { DeliveryQueue } from './delivery-queue.ts';
import { EgressGuard } from './egress-guard.ts';
import { Endpoints } from './endpoints.ts';
import { WebhookSink, type WebhookSinkOptions } from './fan-out.ts';
import { SecretBox } from './secret-box.ts';

export interface Emitted {
  readonly tenantId?: string;
  readonly eventType?: string;
  readonly entityKey?: string | null;
  /** JSON text. */
  readonly payload?: string;
  readonly headers?: string;
}

const secretBox = new SecretBox([SecretBox.newKey()]);
const guard = new EgressGuard({ allow: ['127.0.0.0/8', '::1'] });

/** A migrated database and the parts of the webhooks on it, under the rights of the service role. */
const owner: CheckpointOwner = {
  relay: 'relay',
  shard: 0,
  epoch: 5n,
  systemIdentifier: '7000000000000000000',
  timeline: 1,
};

export class WebhookFixture implements AsyncDisposable {
  readonly secretBox: SecretBox = secretBox;
  readonly guard: EgressGuard = guard;
  readonly database: MigratedDatabase;
  readonly pool: pg.Pool;
  readonly endpoints: Endpoints;
  readonly queue: DeliveryQueue;
  readonly #admin: pg.Client;

  private constructor(database: MigratedDatabase, admin: pg.Client) {
    this.database = database;
    this.#admin = admin;
    this.pool = this.newPool();
    this.endpoints = new Endpoints({ pool: this.pool, secretBox, guard });
    this.queue = new DeliveryQueue({ pool: this.pool });
  }

  static async create(clusterUrl: string): Promise<WebhookFixture> {
    const database = await createMigratedDatabase(clusterUrl, fewDays);
    return new WebhookFixture(database, await database.connect());
  }

  /** As the service role: a superuser would pass over grants and policies. */
  newPool(): pg.Pool {
    const pool = new pg.Pool({
      connectionString: this.database.url,
      options: '-c role=event_runtime_service',
      max: 4,
    });
    pool.on('error', () => undefined);
    return pool;
  }

  sink(options: Partial<WebhookSinkOptions> = {}): WebhookSink {
    return new WebhookSink({
      pool: this.pool,
      owner,
      ...options,
    });
  }

  /** Writes events through `event_runtime.emit`, each in a transaction of its own; returns them as the log gives them. */
  async emit(events: readonly Emitted[]): Promise<LoggedEvent[]> {
    const ids: string[] = [];
    for (const event of events) {
      const result = await this.#admin.query<{ event_id: string }>(
        'select event_id from event_runtime.emit($1, $2::json, $3, $4, headers => $5::json)',
        [
          event.eventType ?? 'thing.happened',
          event.payload ?? '{}',
          event.tenantId ?? 'acme',
          event.entityKey === undefined ? 'entity' : event.entityKey,
          event.headers ?? null,
        ],
      );
      ids.push(result.rows[0]!.event_id);
    }
    const { rows } = await this.#admin.query<Record<string, string | number | null>>(
      `select event_id, seq::text, tenant_id, event_type, entity_key, headers::text as headers, payload::text as payload,
              (recorded_at at time zone 'UTC')::text || '+00' as recorded_at
       from event_runtime.outbox where event_id = any ($1::uuid[]) order by seq`,
      [ids],
    );
    return rows.map((row) => ({
      event: {
        eventId: String(row['event_id']),
        seq: BigInt(String(row['seq'])),
        tenantId: String(row['tenant_id']),
        ecosystem: null,
        eventType: String(row['event_type']),
        eventVersion: 1,
        entityKey: row['entity_key'] as string | null,
        idempotencyKey: null,
        correlationId: null,
        causationId: null,
        sourceService: null,
        traceparent: null,
        headers: row['headers'] as string | null,
        payload: Buffer.from(String(row['payload'])),
        recordedAt: String(row['recorded_at']),
      },
      txId: 700n,
      position: { lsn: toLsn(BigInt(String(row['seq']))), ordinal: 0 },
      committedAt: 0,
      capturedAt: 0,
    }));
  }

  /** Emits and fans out. */
  async publish(events: readonly Emitted[], sink: WebhookSink = this.sink()): Promise<LoggedEvent[]> {
    const logged = await this.emit(events);
    await this.handOver(logged, sink);
    return logged;
  }

  /** As the relay does. `at`: the position that the batch reaches; default: its last event's. */
  async handOver(
    events: readonly LoggedEvent[],
    sink: WebhookSink,
    options: { readonly at?: Position; readonly epoch?: bigint; readonly signal?: AbortSignal } = {},
  ): Promise<readonly DeliveryResult[]> {
    await this.claim({ sink: sink.name, epoch: options.epoch ?? owner.epoch });
    const checkpoint: Checkpoint = {
      mode: 'live',
      position: options.at ?? events.at(-1)!.position!,
      snapshot: Snapshot.nothing,
      batch: null,
      floorSeq: 0n,
      adoption: null,
    };
    return await sink.deliver(
      { events, checkpoint },
      { signal: options.signal ?? new AbortController().signal },
    );
  }

  /** Makes the sink's checkpoint, or takes it over: with the lease of this epoch. */
  async claim({ sink = 'webhooks', epoch = owner.epoch } = {}): Promise<void> {
    await claimCheckpoints(this.pool, { sinks: [sink], owner: { ...owner, epoch } });
  }

  /** Where the checkpoint of the webhooks stands. */
  async position(): Promise<Position | undefined> {
    const [row] = await this.rows<{ lsn: string; ordinal: number }>(
      'select lsn::text, ordinal from event_runtime.relay_checkpoint',
    );
    return row === undefined ? undefined : { lsn: parseLsn(row.lsn), ordinal: row.ordinal };
  }

  /** Rows of any statement, as the superuser. */
  async rows<T extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<T[]> {
    return (await this.#admin.query<T>(text, values)).rows;
  }

  /** Resolves when a statement gives true. Asked again and again: another process may make it so. */
  async until(text: string, values: unknown[] = []): Promise<void> {
    for (;;) {
      const [row] = await this.rows<{ value: boolean | null }>(`select (${text}) as value`, values);
      if (row?.value === true) return;
      await this.rows('select pg_sleep(0.01)');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.end();
    await this.database[Symbol.asyncDispose]();
  }
}
