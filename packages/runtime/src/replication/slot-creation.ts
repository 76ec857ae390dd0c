import { quoteIdentifier, ReplicationConnection } from './replication-connection.ts';
import { connectError } from './server-error.ts';

export interface SlotCreationOptions {
  /** A direct URL, of a role that may use replication. */
  readonly connectionString: string;
  readonly slot: string;
  /** Carried over to standbys (PostgreSQL 17 and later; ignored before). */
  readonly failover: boolean;
  /** What the connection calls itself. Default `event-runtime slot`. */
  readonly applicationName?: string;
  readonly signal: AbortSignal;
}

/**
 * Makes a slot for pgoutput and answers its starting point as a snapshot (`pg_snapshot` as text): the slot sends every
 * transaction that this snapshot does not see, and no other.
 *
 * It waits for every transaction that is open at the moment, prepared ones too. The publication must be older:
 * changes that were written before a publication existed can never be decoded for it.
 *
 * @returns undefined: there is one of this name already
 * @throws ER1001, ER1002, ER1003; the signal's reason: the statement is then cancelled, and no slot is left behind
 * Source: PostgreSQL manual, "Streaming Replication Protocol", CREATE_REPLICATION_SLOT.
 */
export async function createSlotAt(options: SlotCreationOptions): Promise<string | undefined> {
  const { slot, failover, signal } = options;
  await using connection = await ReplicationConnection.open({
    connectionString: options.connectionString,
    applicationName: options.applicationName ?? 'event-runtime slot',
    signal,
  });
  const pid = await backend(connection);
  const cancel = (): void => {
    void cancelBackend(options.connectionString, pid);
  };
  signal.throwIfAborted();
  signal.addEventListener('abort', cancel, { once: true });
  const carried = failover && connection.identity.serverVersion >= 170_000 ? ', FAILOVER true' : '';
  try {
    await connection.query('begin isolation level repeatable read read only');
    await connection.query(
      `CREATE_REPLICATION_SLOT ${quoteIdentifier(slot)} LOGICAL pgoutput (SNAPSHOT 'use'${carried})`,
    );
    const { rows } = await connection.query('select pg_current_snapshot()::text as snapshot');
    await connection.query('commit');
    return (rows[0] as { readonly snapshot: string }).snapshot;
  } catch (cause) {
    signal.throwIfAborted();
    // duplicate_object: somebody else was faster.
    if (cause instanceof Error && Reflect.get(cause, 'code') === '42710') return undefined;
    throw connectError(cause);
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

async function backend(connection: ReplicationConnection): Promise<number> {
  const { rows } = await connection.query('select pg_backend_pid() as pid');
  return (rows[0] as { readonly pid: number }).pid;
}

/**
 * A connection that is only cut would go on waiting on the server, and leave the slot behind. As the role that waits:
 * not every role may cancel another's statement. Never rejects.
 */
async function cancelBackend(connectionString: string, pid: number): Promise<void> {
  try {
    await using connection = await ReplicationConnection.open({
      connectionString,
      applicationName: 'event-runtime slot',
    });
    await connection.query(`select pg_cancel_backend(${pid})`);
  } catch {
    // Then the service says that it did not stop in time.
  }
}
