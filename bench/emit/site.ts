import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { migrate } from '@event-runtime/runtime';
import { createTestDatabase } from '@event-runtime/runtime/testing';
import pg from 'pg';

/** A database with our schema and the hand-written tables beside it. */
export interface EmitSite extends AsyncDisposable {
  /** A superuser's connection, for what is not measured. */
  readonly owner: pg.Client;
  /** A new connection of an ordinary service: owner of its own tables, and `event_runtime_producer`. */
  connect(): Promise<pg.Client>;
}

/**
 * Opens the site; dropped at dispose.
 *
 * @param clusterUrl superuser connection string of any database of a PostgreSQL 18 cluster
 */
export async function openEmitSite(clusterUrl: string): Promise<EmitSite> {
  await using opening = new AsyncDisposableStack();
  const database = opening.use(await createTestDatabase(clusterUrl));
  await migrate({ connectionString: database.url });
  const owner = await connected(database.url);
  opening.defer(() => owner.end());

  const role = `bench_${randomBytes(6).toString('hex')}`;
  const password = randomBytes(16).toString('hex');
  await owner.query(`create role ${role} login password '${password}' in role event_runtime_producer`);
  opening.defer(async () => {
    await owner.query(`drop owned by ${role} cascade`);
    await owner.query(`drop role ${role}`);
  });
  await owner.query(`create schema bench authorization ${role}`);
  await owner.query('set search_path = bench');
  await owner.query(await readFile(new URL('reference-tables.sql', import.meta.url), 'utf8'));
  await owner.query(
    `grant select, insert, update on all tables in schema bench to ${role};
     alter role ${role} set search_path = bench`,
  );

  const clients = opening.adopt([] as pg.Client[], async (open) => {
    await Promise.all(open.map((client) => client.end()));
  });
  const resources = opening.move();
  return {
    owner,
    async connect() {
      const client = await connected(database.urlFor(role, password));
      clients.push(client);
      return client;
    },
    async [Symbol.asyncDispose]() {
      await resources.disposeAsync();
    },
  };
}

async function connected(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}
