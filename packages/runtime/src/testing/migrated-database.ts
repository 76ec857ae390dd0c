import pg from 'pg';
import { migrate } from '../schema/migrator.ts';
import { createTestDatabase, type TestDatabase } from './test-database.ts';

export interface MigratedDatabase extends TestDatabase {
  /** A new superuser connection, ended when the database is disposed. */
  connect(): Promise<pg.Client>;
}

/**
 * A new database with schema `event_runtime`, dropped at dispose.
 *
 * @param clusterUrl superuser connection string of any database of the cluster
 */
export async function createMigratedDatabase(clusterUrl: string): Promise<MigratedDatabase> {
  const database = await createTestDatabase(clusterUrl);
  await migrate({ connectionString: database.url });
  const clients: pg.Client[] = [];
  return {
    url: database.url,
    name: database.name,
    urlFor: (role, password) => database.urlFor(role, password),
    async connect() {
      const client = new pg.Client({ connectionString: database.url });
      client.on('error', () => undefined);
      await client.connect();
      clients.push(client);
      return client;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
      await database[Symbol.asyncDispose]();
    },
  };
}
