import { unreachable } from '@event-runtime/runtime';
import { createTestDatabase } from '@event-runtime/runtime/testing';
import pg from 'pg';
import { embeddedDatabase } from '../embedded-database.ts';
import { serverError } from '../server-error.ts';

/** The database that a demo runs in, removed at dispose. */
export interface DemoDatabase extends AsyncDisposable {
  readonly url: string;
  /** For people: which server it is, without a password. */
  readonly description: string;
}

/**
 * A PostgreSQL server of the demo's own, or on the given server a new database, so that nothing that is
 * there is touched: at dispose it is dropped with its slots, and with the roles that came with it.
 *
 * @param serverUrl a role that may create databases and replicate; undefined: embedded PostgreSQL
 * @throws ER1001 not reachable, ER1002 no logical WAL, ER5001 the role may not create databases,
 *   ER5002 and ER5003 where embedded PostgreSQL cannot be had
 */
export async function demoDatabase(serverUrl: string | undefined): Promise<DemoDatabase> {
  return serverUrl === undefined || serverUrl === '' ? await embeddedDatabase() : await databaseOn(serverUrl);
}

async function databaseOn(serverUrl: string): Promise<DemoDatabase> {
  const { walLevel, roles } = await look(serverUrl);
  if (walLevel !== 'logical') throw serverError('ER1002', { detail: `It is ${walLevel}.` });
  const database = await createTestDatabase(serverUrl).catch((cause: unknown) => {
    if ((cause as { code?: unknown } | null)?.code !== '42501') throw cause;
    throw serverError('ER5001', {
      detail: 'The role of DATABASE_URL may not create databases, and the demo makes one of its own.',
      remedy: 'Run `ALTER ROLE <role> CREATEDB;`, or unset DATABASE_URL to use embedded PostgreSQL.',
      cause,
    });
  });
  return {
    url: database.url,
    description: `${new URL(serverUrl).host}, database ${database.name}`,
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]();
      await dropNewRoles(serverUrl, roles);
    },
  };
}

interface ServerState {
  readonly walLevel: string;
  /** Our roles that were there before the demo. */
  readonly roles: readonly string[];
}

async function look(serverUrl: string): Promise<ServerState> {
  const client = new pg.Client({ connectionString: serverUrl });
  client.on('error', () => undefined);
  await client.connect().catch((cause: unknown) => {
    throw unreachable(cause);
  });
  try {
    const { rows } = await client.query<ServerState>(`
      select current_setting('wal_level') as "walLevel",
             array(select rolname::text from pg_roles where rolname like 'event\\_runtime\\_%') as roles`);
    return rows[0] ?? { walLevel: 'unknown', roles: [] };
  } finally {
    await client.end();
  }
}

/** Roles belong to the server, not to the dropped database. One that another database uses by now stays. */
async function dropNewRoles(serverUrl: string, before: readonly string[]): Promise<void> {
  const { roles } = await look(serverUrl);
  const client = new pg.Client({ connectionString: serverUrl });
  client.on('error', () => undefined);
  await client.connect();
  try {
    for (const role of roles.filter((name) => !before.includes(name))) {
      await client.query(`drop role if exists ${client.escapeIdentifier(role)}`).catch((cause: unknown) => {
        const dependentObjectsStillExist = '2BP01';
        if ((cause as { code?: unknown } | null)?.code !== dependentObjectsStillExist) throw cause;
      });
    }
  } finally {
    await client.end();
  }
}
