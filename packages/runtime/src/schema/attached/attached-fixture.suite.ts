import pg from 'pg';
import { createMigratedDatabase, fewDays, type MigratedDatabase } from '../../testing/migrated-database.ts';
import { type AttachmentPlan, attachTable, planAttachment } from './attach.ts';
import { parseMapping } from './mapping.ts';
import type { TablePreset } from './presets.ts';

export interface StoredEvent {
  readonly event_type: string;
  readonly tenant_id: string;
  readonly entity_key: string | null;
  readonly ecosystem: string | null;
  readonly event_version: number;
  readonly idempotency_key: string | null;
  readonly correlation_id: string | null;
  readonly causation_id: string | null;
  readonly source_service: string | null;
  readonly traceparent: string | null;
  readonly headers: string | null;
  readonly payload: string;
}

/** A migrated database with tables of a team, and a role that may write to those and nothing else. */
export class AttachedFixture implements AsyncDisposable {
  readonly database: MigratedDatabase;
  readonly sql: pg.Client;
  /** Of the application. */
  readonly role: string;

  private constructor(database: MigratedDatabase, sql: pg.Client) {
    this.database = database;
    this.sql = sql;
    this.role = `app_${database.name}`;
  }

  static async create(clusterUrl: string): Promise<AttachedFixture> {
    const database = await createMigratedDatabase(clusterUrl, fewDays);
    const fixture = new AttachedFixture(database, await database.connect());
    await fixture.sql.query(`create role ${fixture.role} login password 'secret'`);
    return fixture;
  }

  /** A connection of the application's role, to be ended by the test. */
  async application(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.database.urlFor(this.role, 'secret') });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async attach(table: string, pairs: readonly string[], preset?: TablePreset): Promise<AttachmentPlan> {
    const plan = await planAttachment(this.sql, { table, preset, mapping: parseMapping(pairs) });
    await attachTable(this.sql, { plan });
    return plan;
  }

  /** The outbox in the order of seq. */
  async events(): Promise<StoredEvent[]> {
    const { rows } = await this.sql.query<StoredEvent>(
      `select o.event_type, o.tenant_id, o.entity_key, o.ecosystem, o.event_version, o.idempotency_key,
              o.correlation_id, o.causation_id, o.source_service, o.traceparent, o.headers::text as headers,
              o.payload::text as payload
         from event_runtime.outbox o order by o.seq`,
    );
    return rows;
  }

  async payloads(): Promise<string[]> {
    return (await this.events()).map(({ payload }) => payload);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sql.query(`drop owned by ${this.role} cascade`).catch(() => undefined);
    await this.sql.query(`drop role ${this.role}`).catch(() => undefined);
    await this.database[Symbol.asyncDispose]();
  }
}
