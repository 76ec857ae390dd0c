import { migrate } from '@event-runtime/runtime';
import { EmbeddedPostgres } from '@event-runtime/runtime/testing';
import pg from 'pg';
import { claim, payloadBytes, tenant } from '../emit/event.ts';

/** How events are spread over entities. */
export type Keys = 'many' | 'hot';

/** So many entities. */
export const keyCounts: Readonly<Record<Keys, number>> = { many: 10_000, hot: 1 };

/** A PostgreSQL of its own with the schema, and what loads it. */
export interface RelaySite extends AsyncDisposable {
  readonly url: string;
  readonly sql: pg.Client;
  /** Of the server: `18.4`. */
  readonly version: string;
  /** Writes so many events, `perTransaction` in each; resolves with the WAL's position behind them. */
  load(load: {
    readonly events: number;
    readonly perTransaction: number;
    readonly keys: Keys;
  }): Promise<string>;
  /** Forgets all events, and how far sinks got: of an earlier run, other sinks may have had the same names. */
  clear(): Promise<void>;
}

/** The server's settings where they are not its defaults; the commits of the load are no part of any figure. */
export const serverSettings: Readonly<Record<string, string>> = {
  max_slot_wal_keep_size: '40GB',
  max_wal_size: '8GB',
  shared_buffers: '512MB',
  autovacuum_naptime: '10min',
  track_commit_timestamp: 'on',
};

export async function openRelaySite(): Promise<RelaySite> {
  const server = await EmbeddedPostgres.start({ settings: serverSettings });
  await migrate({ connectionString: server.url });
  const sql = new pg.Client({ connectionString: server.url });
  sql.on('error', () => undefined);
  await sql.connect();
  const payload = JSON.stringify(claim('claim-1'));
  if (Buffer.byteLength(payload) !== payloadBytes) throw new TypeError('the payload has another size');
  const told = await sql.query<{ version: string }>("select current_setting('server_version') as version");
  return {
    url: server.url,
    sql,
    version: told.rows[0]?.version ?? '',
    async load({ events, perTransaction, keys }) {
      const key = `'claim-' || floor(random() * ${keyCounts[keys]})::int`;
      await sql.query('set synchronous_commit = off');
      // As rows, not through emit: what is measured begins behind it.
      await sql.query(
        `do $$ begin
           for i in 1..${Math.ceil(events / perTransaction)} loop
             insert into event_runtime.outbox (event_id, tenant_id, event_type, entity_key, source_service, payload)
             select event_runtime.uuid_v7(), '${tenant}', 'claim.approved', ${key}, 'bench', '${payload}'
               from generate_series(1, ${perTransaction});
             commit;
           end loop;
         end $$`,
      );
      await sql.query('set synchronous_commit = on');
      await sql.query('checkpoint');
      const { rows } = await sql.query<{ at: string }>('select pg_current_wal_flush_lsn()::text as at');
      return rows[0]?.at ?? '0/0';
    },
    async clear() {
      await sql.query('delete from event_runtime.relay_checkpoint');
      // Ticks too: a sink that begins anew would pass through all those of the runs before.
      await sql.query('truncate event_runtime.outbox, event_runtime.tick');
    },
    async [Symbol.asyncDispose]() {
      await sql.end();
      await server[Symbol.asyncDispose]();
    },
  };
}
