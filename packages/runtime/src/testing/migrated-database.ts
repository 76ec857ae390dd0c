import pg from 'pg';
import { sqlState } from '../internal/sql-state.ts';
import { migrate } from '../schema/migrator.ts';
import { dayPartitionedTables } from '../schema/partition-catalog.ts';
import { createTestDatabase, type TestDatabase } from './test-database.ts';

export interface MigratedDatabase extends TestDatabase {
  /** A new superuser connection, ended when the database is disposed. */
  connect(): Promise<pg.Client>;
}

/** Name of the template that is as a migration leaves it. */
export const allDays = 'event_runtime_migrated';

/**
 * Name of a template whose tables have partitions for today and tomorrow, where a migration makes 37, one for the six
 * days behind these, and one for all that is after them, which upkeep may cut: with an eighth of the tables, most of
 * what a test costs (making the database, each connection's first look at its tables, its plans) goes away. For tests
 * that look at events, not at partitions.
 */
export const fewDays = 'event_runtime_few_days';

/**
 * Migrates one database that later ones of the cluster start as copies of: a copy takes a tenth of the time.
 *
 * @param clusterUrl superuser connection string of any database of the cluster
 * @param name {@link allDays} or {@link fewDays}
 */
export async function createMigratedTemplate(clusterUrl: string, name: string): Promise<void> {
  const at = new URL(clusterUrl);
  at.pathname = `/${name}`;
  await using cluster = await connected(clusterUrl);
  await cluster.client.query(`create database ${name} template template0 encoding 'UTF8'`);
  await migrate({ connectionString: at.href });
  if (name === fewDays) await prepare(at.href, leaveFewDays);
  // A copy can be made only while nobody is connected.
  await cluster.client.query(`alter database ${name} with allow_connections false is_template true`);
}

/** The partitions of today and tomorrow stay; of the others, the last begins where upkeep still touches it. */
async function leaveFewDays(client: pg.Client): Promise<void> {
  await client.query(
    `set role event_runtime_owner;
     do $$
     declare
       today constant timestamptz := date_trunc('day', now(), 'UTC');
       root text;
       leaf text;
     begin
       foreach root in array array['${dayPartitionedTables.join("', '")}'] loop
         for leaf in
           select l.name from event_runtime.partition_list(root) l where l.upper_bound > today + interval '2 days'
         loop
           execute format('drop table event_runtime.%I', leaf);
         end loop;
         perform event_runtime.partition_create(root, today + interval '2 days', today + interval '8 days');
         perform event_runtime.partition_create(root, today + interval '8 days', 'infinity');
       end loop;
     end $$`,
  );
}

async function prepare(url: string, how: (client: pg.Client) => Promise<void>): Promise<void> {
  await using at = await connected(url);
  await how(at.client);
}

async function connected(url: string): Promise<AsyncDisposable & { readonly client: pg.Client }> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return { client, [Symbol.asyncDispose]: async () => await client.end() };
}

/**
 * Prepares one database that later ones of the cluster start as copies of, and that lives as long as the cluster: for
 * what takes long and many tests begin with.
 *
 * @param clusterUrl superuser connection string of any database of the cluster
 * @returns its name
 */
export async function createPreparedTemplate(
  clusterUrl: string,
  how: (client: pg.Client) => Promise<void>,
): Promise<string> {
  const { url, name } = await createCopy(clusterUrl, allDays);
  await prepare(url, how);
  await prepare(clusterUrl, async (client) => {
    await client.query(`alter database ${name} with allow_connections false`);
  });
  return name;
}

/**
 * A new database with schema `event_runtime`, dropped at dispose: a copy of the cluster's migrated template where
 * there is one, else migrated.
 *
 * @param clusterUrl superuser connection string of any database of the cluster
 * @param from {@link fewDays}, or a template of {@link createPreparedTemplate}, instead
 */
export async function createMigratedDatabase(
  clusterUrl: string,
  from: string = allDays,
): Promise<MigratedDatabase> {
  const database = await createCopy(clusterUrl, from);
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

async function createCopy(clusterUrl: string, from: string): Promise<TestDatabase> {
  try {
    return await createTestDatabase(clusterUrl, from);
  } catch (cause) {
    // There is no such database.
    const migrates = from === allDays || from === fewDays;
    if (!migrates || sqlState(cause) !== '3D000') throw cause;
  }
  const database = await createTestDatabase(clusterUrl);
  await migrate({ connectionString: database.url });
  return database;
}
