import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientBase } from 'pg';
import { runtimeError } from '../errors/codes.ts';
import { keptAlive } from './session-life.ts';

export interface UpkeepOptions {
  /** How long one statement waits for a lock, in milliseconds. Nobody else waits meanwhile. Default 1000. */
  readonly lockTimeoutMs?: number | undefined;
  /** How often a statement is tried before ER1105. Default 3. */
  readonly attempts?: number | undefined;
  /** How long to wait for another session that does upkeep, in milliseconds. Default 0: ER1105 at once. */
  readonly waitMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A session that works as the owner of the schema, alone among all that do upkeep. */
export interface UpkeepSession {
  readonly client: ClientBase;
  /** Runs `step` again when a lock was not to be had in time. @throws ER1105 in the end */
  retrying<T>(what: string, step: () => Promise<T>): Promise<T>;
  /** Runs `step` in a transaction. */
  transaction<T>(step: () => Promise<T>): Promise<T>;
}

/** Any fixed number does; it is the same for every version of this program. */
const lockKey = '4409127756320017361';

/** How long the advisory lock stays with a process that is stopped. Milliseconds. */
const silentMs = 10_000;

/** Between two looks whether the other session is done. Milliseconds. */
const lookMs = 50;

/**
 * Lends the connection to partition upkeep: role `event_runtime_owner`, a short `lock_timeout`, and an
 * advisory lock so that two never work at once, that does not stay with a process that is stopped.
 * All of it is taken back afterwards. An idle client
 * may be ended by the server: it needs a listener for 'error'.
 *
 * @param client a direct connection of its own, outside a transaction; its role may SET ROLE to the owner
 * @throws ER1105 when another session is at it
 */
export async function withUpkeepSession<T>(
  client: ClientBase,
  work: (session: UpkeepSession) => Promise<T>,
  options: UpkeepOptions,
): Promise<T> {
  options.signal?.throwIfAborted();
  await using alive = await keptAlive(client, silentMs);
  void alive;
  const until = performance.now() + (options.waitMs ?? 0);
  while (!(await alone(client))) {
    if (performance.now() >= until) {
      throw runtimeError('ER1105', { detail: 'Another session does upkeep now.' });
    }
    await sleep(lookMs, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
  try {
    await client.query('set role event_runtime_owner');
    await client.query("select set_config('lock_timeout', $1, false)", [
      `${options.lockTimeoutMs ?? 1000}ms`,
    ]);
    return await work(sessionOver(client, options));
  } finally {
    // Fails only on a broken connection, which has taken all of it with it.
    await client
      .query(`reset lock_timeout; reset role; select pg_advisory_unlock(${lockKey})`)
      .catch(() => undefined);
  }
}

async function alone(client: ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ got: boolean }>('select pg_try_advisory_lock($1) as got', [lockKey]);
  return rows[0]?.got === true;
}

function sessionOver(client: ClientBase, options: UpkeepOptions): UpkeepSession {
  return {
    client,
    async retrying(what, step) {
      for (let attempt = 1; ; attempt += 1) {
        options.signal?.throwIfAborted();
        try {
          return await step();
        } catch (cause) {
          if (!isLockTimeout(cause)) throw cause;
          if (attempt >= (options.attempts ?? 3)) throw runtimeError('ER1105', { detail: what, cause });
        }
      }
    },
    async transaction(step) {
      // Stopped in between, it must not keep what it locked.
      await client.query(`begin; set local idle_in_transaction_session_timeout = '10s'`);
      try {
        const result = await step();
        await client.query('commit');
        return result;
      } catch (cause) {
        await client.query('rollback');
        throw cause;
      }
    },
  };
}

function isLockTimeout(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === '55P03';
}
