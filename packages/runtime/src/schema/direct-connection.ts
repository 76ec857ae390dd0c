import type pg from 'pg';
import { clientOf } from '../internal/client-of.ts';
import { refusePooler } from '../internal/pooler.ts';
import { unreachable } from '../internal/unreachable.ts';

export interface DirectConnectionOptions {
  readonly connectionString: string;
  readonly signal?: AbortSignal | undefined;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
}

/** A session of its own, ended at dispose. */
export interface DirectConnection extends AsyncDisposable {
  readonly client: pg.Client;
}

/**
 * Connects to PostgreSQL itself, for work that needs a session: advisory locks, SET ROLE.
 * An abort ends the connection at once, also in the middle of a statement: that is rolled back, and rejects with the
 * signal's reason.
 *
 * @throws ER1001 not reachable, ER1004 a pooler in between
 */
export async function connectDirect(options: DirectConnectionOptions): Promise<DirectConnection> {
  options.signal?.throwIfAborted();
  const client = clientOf({
    connectionString: options.connectionString,
    application_name: options.applicationName,
    client_encoding: 'UTF8',
  });
  // A connection that breaks while idle would end the process; the next statement reports it.
  client.on('error', () => undefined);
  const abort = (): void => destroy(client, options.signal?.reason);
  options.signal?.addEventListener('abort', abort, { once: true });
  const close = async (): Promise<void> => {
    options.signal?.removeEventListener('abort', abort);
    await client.end().catch(() => undefined);
  };
  try {
    await client.connect();
    await refusePooler(client);
  } catch (cause) {
    await close();
    options.signal?.throwIfAborted();
    throw unreachable(cause);
  }
  return { client, [Symbol.asyncDispose]: close };
}

function destroy(client: pg.Client, reason: unknown): void {
  const inner = client as unknown as { connection?: { stream?: { destroy(error?: Error): void } } };
  inner.connection?.stream?.destroy(reason instanceof Error ? reason : undefined);
}
