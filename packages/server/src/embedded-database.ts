import { EmbeddedPostgres } from '@event-runtime/runtime/testing';

/** A PostgreSQL server of a command's own, removed at dispose. */
export interface EmbeddedDatabase extends AsyncDisposable {
  readonly url: string;
  /** For people: where it listens, and how long it took; without a password. */
  readonly description: string;
}

/** Starts one whose slots keep 4 GB of WAL at most. @throws ER5002 and ER5003 where it cannot be had */
export async function embeddedDatabase(): Promise<EmbeddedDatabase> {
  const startedAt = performance.now();
  const server = await EmbeddedPostgres.start({ settings: { max_slot_wal_keep_size: '4GB' } });
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
  return {
    url: server.url,
    description: `127.0.0.1:${server.port}, embedded, started in ${seconds} s`,
    [Symbol.asyncDispose]: () => server.stop(),
  };
}
