import type pg from 'pg';
import { orAborted } from '../internal/or-aborted.ts';

/**
 * How long this process may leave the server without a statement before its locks are taken: a machine that vanishes
 * or is stopped in the middle must not keep them until TCP notices. Shorter than a lease, for whoever takes over needs
 * them: the row of a checkpoint for a fan-out, the advisory lock for a claim. Milliseconds.
 */
const stoppedMs = 2_000;

/** How long a rollback may take. A server that said nothing until now would let it wait as long once more. Milliseconds. */
const rollbackMs = 1_000;

/**
 * Runs work in a READ COMMITTED transaction on a connection of the pool. The level is said, not assumed: a
 * role or database may have another default, and the delivery queue needs a fresh snapshot per statement.
 *
 * A connection that failed is not given back to the pool. The signal is looked at before the transaction
 * begins: what has begun is finished, for nobody could tell whether half of it is there.
 */
export async function transaction<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
  options: {
    readonly signal?: AbortSignal | undefined;
    /**
     * COMMIT waits for no standby: for work that is done again where a failover loses it, and that would hold its locks
     * as long as a standby is away. Default false.
     */
    readonly localCommit?: boolean | undefined;
    /**
     * How long this process may leave the server without a statement, where nobody who takes over waits for the locks.
     * Milliseconds. Default 2,000.
     */
    readonly stoppedMs?: number | undefined;
  } = {},
): Promise<T> {
  options.signal?.throwIfAborted();
  const client = await pool.connect();
  let broken = false;
  // Without a listener, a connection that dies between two statements would end the process.
  const onError = (): void => {
    broken = true;
  };
  client.on('error', onError);
  try {
    await client.query(
      `begin isolation level read committed;
       set local idle_in_transaction_session_timeout = ${options.stoppedMs ?? stoppedMs}${options.localCommit === true ? '; set local synchronous_commit = local' : ''}`,
    );
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (cause) {
    const rolledBack = client.query('rollback').then(
      () => true,
      () => false,
    );
    if ((await orAborted(rolledBack, AbortSignal.timeout(rollbackMs))) !== true) broken = true;
    throw cause;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}
