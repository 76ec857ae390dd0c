import { randomBytes } from 'node:crypto';
import pg from 'pg';

export interface TestDatabase extends AsyncDisposable {
  /** Superuser connection string of this database. */
  readonly url: string;
  readonly name: string;
  /** The same database as another role. */
  urlFor(role: string, password: string): string;
}

/**
 * A new database in a running cluster, dropped at dispose with its replication slots.
 *
 * @param clusterUrl superuser connection string of any database of the cluster
 * @param template the database that it starts as a copy of; without one it is empty
 */
export async function createTestDatabase(
  clusterUrl: string,
  template: string = 'template0',
): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  // Page by page through the log, as by default, takes twice the time where the template has many tables.
  const strategy = template === 'template0' ? 'wal_log' : 'file_copy';
  await run(clusterUrl, (client) =>
    client.query(`create database ${name} template ${template} encoding 'UTF8' strategy ${strategy}`),
  );
  const at = new URL(clusterUrl);
  at.pathname = `/${name}`;
  return {
    url: at.href,
    name,
    urlFor(role, password) {
      const other = new URL(at);
      other.username = role;
      other.password = password;
      return other.href;
    },
    async [Symbol.asyncDispose]() {
      await run(clusterUrl, async (client) => {
        await client.query(`alter database ${name} with allow_connections false`);
        await client.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [
          name,
        ]);
        // A slot belongs to its database and keeps it from being dropped; its walsender may take a moment to go.
        for (let attempt = 0; ; attempt += 1) {
          try {
            await client.query(
              'select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1',
              [name],
            );
            await client.query(`drop database ${name} with (force)`);
            return;
          } catch (cause) {
            if (attempt >= 50) throw cause;
            await client.query('select pg_sleep(0.05)');
          }
        }
      });
    },
  };
}

async function run(url: string, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
