import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { runtimeError } from '../errors/codes.ts';
import { clientOf } from '../internal/client-of.ts';
import { refusePooler } from '../internal/pooler.ts';
import { type Lsn, parseLsn } from './lsn.ts';
import { connectError } from './server-error.ts';

export interface ReplicationConnectionOptions {
  /** A direct URL: a pooler in transaction mode cannot carry replication. */
  readonly connectionString: string;
  /**
   * How long the server waits for a sign of life of this connection before it ends it and frees the slot.
   * Milliseconds; default 10 000. The server's own setting is left alone.
   */
  readonly walSenderTimeoutMs?: number | undefined;
  /** Milliseconds; default 10 000. */
  readonly connectTimeoutMs?: number | undefined;
  /** What `pg_stat_activity` shows. Default `event-runtime relay`. */
  readonly applicationName?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What the server says of itself. */
export interface ServerIdentity {
  /** Differs between clusters: another one means that LSNs and xids do not compare. */
  readonly systemIdentifier: string;
  /** Changes at each failover and point-in-time recovery. */
  readonly timeline: number;
  /** Where the WAL is flushed to. */
  readonly flushedTo: Lsn;
  /** `server_version_num`, as 150018. */
  readonly serverVersion: number;
}

export const defaultWalSenderTimeoutMs = 10_000;

/** How long a polite end may take before the socket is cut: nothing is begun anew before. Milliseconds. */
const farewellMs = 500;

/** `replication` is known to `pg`, not to its types. */
type ReplicationConfig = pg.ClientConfig & { readonly replication: 'database' };

/**
 * A walsender connection: takes replication commands and plain SQL (the simple protocol only: no
 * parameters), until a stream is started on {@link socket}.
 *
 * Values in the stream are texts, written under the session's settings; those are fixed here, because a
 * role or a database may have others: UTF8, UTC, ISO dates, hexadecimal bytea.
 */
export class ReplicationConnection implements AsyncDisposable {
  readonly identity: ServerIdentity;
  readonly #client: pg.Client;

  private constructor(client: pg.Client, identity: ServerIdentity) {
    this.#client = client;
    this.identity = identity;
  }

  /**
   * Connects and checks what logical replication needs of the server.
   * @throws ER1001 cannot connect, ER1002 wal_level, ER1003 no REPLICATION privilege, ER1004 a pooler, ER1005 not UTF8,
   *   ER1006 older than PostgreSQL 15; the signal's reason when it is aborted
   */
  static async open(options: ReplicationConnectionOptions): Promise<ReplicationConnection> {
    const { signal } = options;
    signal?.throwIfAborted();
    const config: ReplicationConfig = {
      connectionString: options.connectionString,
      replication: 'database',
      application_name: options.applicationName ?? 'event-runtime relay',
      connectionTimeoutMillis: options.connectTimeoutMs ?? 10_000,
      keepAlive: true,
    };
    const client = clientOf(config);
    // Without a listener, the end of a connection that nobody is querying is an uncaught exception.
    client.on('error', () => undefined);
    const abort = (): void => {
      client.connection.stream.destroy();
    };
    signal?.addEventListener('abort', abort, { once: true });
    try {
      await client.connect();
      await refusePooler(client);
      await prepareSession(client, options.walSenderTimeoutMs ?? defaultWalSenderTimeoutMs);
      return new ReplicationConnection(client, await identify(client));
    } catch (cause) {
      client.connection.stream.destroy();
      signal?.throwIfAborted();
      throw connectError(cause);
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** The socket below, TLS or not; for {@link CopyBoth.start}. After that, {@link query} must not be used. */
  get socket(): Duplex {
    return this.#client.connection.stream;
  }

  /** One statement with its values written into it ({@link quoteLiteral}). Rows are objects. */
  async query(text: string): Promise<{ readonly rows: readonly unknown[] }> {
    return await this.#client.query(text);
  }

  /** Ends the connection; what was sent before is still delivered. Returns when the socket is closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { socket } = this;
    const stop = new AbortController();
    const ended = this.#client.end();
    await Promise.race([
      ended,
      sleep(farewellMs, undefined, { signal: stop.signal, ref: false }).catch(() => undefined),
    ]);
    stop.abort();
    socket.destroy();
    await ended;
  }
}

/** Quotes a value for {@link ReplicationConnection.query}. */
export function quoteLiteral(value: string): string {
  return pg.escapeLiteral(value);
}

/** Quotes a name for {@link ReplicationConnection.query}. */
export function quoteIdentifier(name: string): string {
  return pg.escapeIdentifier(name);
}

async function prepareSession(client: pg.Client, walSenderTimeoutMs: number): Promise<void> {
  const settings: Readonly<Record<string, string>> = {
    wal_sender_timeout: `${walSenderTimeoutMs}ms`,
    client_encoding: 'UTF8',
    timezone: 'UTC',
    datestyle: 'ISO, MDY',
    intervalstyle: 'postgres',
    bytea_output: 'hex',
    extra_float_digits: '1',
    statement_timeout: '0',
  };
  await client.query(
    Object.entries(settings)
      .map(([name, value]) => `set ${name} = ${quoteLiteral(value)}`)
      .join('; '),
  );
}

async function identify(client: pg.Client): Promise<ServerIdentity> {
  const checks = await client.query<{ wal_level: string; encoding: string; version: number }>(
    `select current_setting('wal_level') as wal_level, current_setting('server_encoding') as encoding,
            current_setting('server_version_num')::int as version`,
  );
  const server = checks.rows[0];
  if (server === undefined) throw new TypeError('the server answered without a row');
  if (server.version < 150_000) throw runtimeError('ER1006', { detail: `It is ${server.version}.` });
  if (server.encoding !== 'UTF8') throw runtimeError('ER1005', { detail: `It is ${server.encoding}.` });
  if (server.wal_level !== 'logical') throw runtimeError('ER1002', { detail: `It is ${server.wal_level}.` });
  // The timeline is int4 in PostgreSQL 15 and int8, which `pg` gives as text, in later ones.
  const answer = await client.query<{ systemid: string; timeline: number | string; xlogpos: string }>(
    'IDENTIFY_SYSTEM',
  );
  const system = answer.rows[0];
  if (system === undefined) throw new TypeError('IDENTIFY_SYSTEM answered without a row');
  return {
    systemIdentifier: system.systemid,
    timeline: Number(system.timeline),
    flushedTo: parseLsn(system.xlogpos),
    serverVersion: server.version,
  };
}
