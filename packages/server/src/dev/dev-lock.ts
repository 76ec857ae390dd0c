import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { serverError } from '../server-error.ts';

/** The key of the advisory lock of `dev`: the bytes of "evrt-dev". Per database. */
const lockKey = '7311156888385906038';

/** How long the connection of a `dev` that was killed may take to be noticed. */
const patienceMs = 3_000;

/**
 * Keeps a second `dev` away while one runs: slot, checkpoints and endpoints have fixed names, and whoever
 * starts or ends takes them away. The lock ends with its connection, so also with a process that is killed.
 *
 * @throws ER1201 another `dev` runs on this database, or the slot belongs to another database of the server
 */
export async function lockDev(
  connectionString: string,
  options: { readonly slot: string; readonly signal: AbortSignal },
): Promise<AsyncDisposable> {
  const { slot, signal } = options;
  const client = new pg.Client({ connectionString, application_name: 'event-runtime dev', keepAlive: true });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await refuseForeignSlot(client, slot);
    const deadline = performance.now() + patienceMs;
    while (!(await tryLock(client))) {
      if (performance.now() >= deadline) {
        throw serverError('ER1201', { detail: 'Another dev runs on this database.' });
      }
      await sleep(100, undefined, { signal });
    }
  } catch (cause) {
    await client.end();
    throw cause;
  }
  return { [Symbol.asyncDispose]: () => client.end() };
}

async function tryLock(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ locked: boolean }>(
    `select pg_catalog.pg_try_advisory_lock(${lockKey}) as locked`,
  );
  return rows[0]?.locked === true;
}

async function refuseForeignSlot(client: pg.Client, slot: string): Promise<void> {
  const { rows } = await client.query<{ database: string }>(
    `select s.database from pg_catalog.pg_replication_slots as s
     where s.slot_name = $1 and s.database is distinct from current_database()`,
    [slot],
  );
  const [other] = rows;
  if (other === undefined) return;
  throw serverError('ER1201', { detail: `Slot ${slot} belongs to the database ${other.database}.` });
}
