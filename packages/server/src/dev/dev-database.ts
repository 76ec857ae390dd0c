import { unreachable } from '@event-runtime/runtime';
import pg from 'pg';
import { embeddedDatabase } from '../embedded-database.ts';
import { serverError } from '../server-error.ts';

/** The database that `dev` runs on. */
export interface DevDatabase extends AsyncDisposable {
  readonly url: string;
  /** For people: which one it is, without a password. */
  readonly description: string;
  /** Whether it was made for this run and goes with it. */
  readonly embedded: boolean;
}

/**
 * The database of DATABASE_URL, or a PostgreSQL server of our own that ends with this run.
 *
 * @throws ER1001 not reachable, ER1002 no logical WAL, ER5002 and ER5003 where embedded PostgreSQL cannot be had
 */
export async function devDatabase(url: string | undefined): Promise<DevDatabase> {
  if (url !== undefined && url !== '') return await given(url);
  const own = await embeddedDatabase();
  return { ...own, description: `${own.description}; it ends with this run`, embedded: true };
}

async function given(url: string): Promise<DevDatabase> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect().catch((cause: unknown) => {
    throw unreachable(cause);
  });
  try {
    const { rows } = await client.query<{ level: string; version: string; name: string }>(
      `select current_setting('wal_level') as level, current_setting('server_version') as version,
              current_database() as name`,
    );
    const seen = rows[0];
    if (seen?.level !== 'logical')
      throw serverError('ER1002', { detail: `It is ${seen?.level ?? 'unknown'}.` });
    const { host } = new URL(url);
    return {
      url,
      description: `${host}, database ${seen.name}, PostgreSQL ${seen.version}`,
      embedded: false,
      async [Symbol.asyncDispose]() {
        // It was here before us.
      },
    };
  } finally {
    await client.end();
  }
}
