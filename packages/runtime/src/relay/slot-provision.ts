import { isEventRuntimeError } from '@event-runtime/outbox';
import type { Pool } from 'pg';
import { runtimeError } from '../errors/codes.ts';
import { orAborted } from '../internal/or-aborted.ts';
import { checkpointedSinks } from '../log/checkpoint.ts';
import { checkPublication, createSlot, describeSlot } from '../replication/slot.ts';
import { connectDirect } from '../schema/direct-connection.ts';
import { schemaStatus } from '../schema/migrator.ts';
import type { Logger } from '../telemetry/logger.ts';

export interface SlotProvisionOptions {
  /** A direct connection string, of a role that may use replication. */
  readonly connectionString: string;
  readonly pool: Pool;
  readonly slot: string;
  readonly publication: string;
  readonly unboundedWal: 'refuse' | 'warn';
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * Sees to it that the slot is there, and that it may be read: all that can be known before the log is opened.
 *
 * @throws ER1001 not reachable, ER1002 wal_level, ER1003 no replication, ER1101 and ER1102 the schema is older
 *   or newer than this program can use, ER1203 unlimited WAL, ER1204 no publication, ER1205 the slot is gone;
 *   the signal's reason
 */
export async function provisionSlot(options: SlotProvisionOptions): Promise<void> {
  await checkSettings(options);
  await reached(checkSchema(options.pool), options.signal);
  const { pool, slot, logger, signal } = options;
  if ((await reached(describeSlot(pool, slot), signal)) !== undefined) return;
  const sinks = await reached(checkpointedSinks(pool, slot), signal);
  if (sinks.length > 0) {
    throw runtimeError('ER1205', { detail: `Slot ${slot}; sinks ${sinks.join(', ')}.` });
  }
  // Before the slot: one that is older than its publication can never be read.
  await reached(checkPublication(pool, options.publication), signal);
  if (!(await createCancellably(options))) return;
  logger.info('relay.slot.created');
  const { rows } = await pool.query<{ earlier: boolean }>(
    'select exists (select from event_runtime.outbox) as earlier',
  );
  if (rows[0]?.earlier === true) logger.warn('relay.slot.late');
}

async function checkSettings(options: SlotProvisionOptions): Promise<void> {
  const { pool, logger, signal, unboundedWal } = options;
  const { rows } = await reached(
    pool.query<{ level: string; bound: string }>(
      "select current_setting('wal_level') as level, current_setting('max_slot_wal_keep_size') as bound",
    ),
    signal,
  );
  const settings = rows[0];
  if (settings?.level !== 'logical') throw runtimeError('ER1002', { detail: `It is ${settings?.level}.` });
  if (settings.bound !== '-1') return;
  if (unboundedWal !== 'warn') throw runtimeError('ER1203');
  logger.warn('relay.slot.unbounded');
}

async function checkSchema(pool: Pool): Promise<void> {
  const client = await pool.connect();
  try {
    const { state, version, known } = await schemaStatus(client);
    const detail = `The database has version ${version}, this program ${known}.`;
    switch (state) {
      case 'missing':
      case 'behind':
        throw runtimeError('ER1101', { detail });
      case 'incompatible':
        throw runtimeError('ER1102', { detail });
      case 'current':
      case 'newer':
        break;
    }
  } finally {
    client.release();
  }
}

/**
 * Making a slot waits for every open transaction. Stopped meanwhile, the statement is cancelled on the server:
 * a connection that is only cut would go on waiting there, and leave the slot behind.
 */
async function createCancellably(options: SlotProvisionOptions): Promise<boolean> {
  const { connectionString, slot, signal } = options;
  await using direct = await connectDirect({ connectionString, applicationName: 'event-runtime slot' });
  const { rows } = await direct.client.query<{ pid: number }>('select pg_backend_pid() as pid');
  const cancel = (): void => {
    void cancelBackend(connectionString, rows[0]?.pid);
  };
  signal.throwIfAborted();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    return await createSlot(direct.client, { slot });
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof Error && Reflect.get(cause, 'code') === '42501') {
      throw runtimeError('ER1003', { cause });
    }
    throw cause;
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

/** As the role that waits: not every role may cancel another's statement. Never rejects. */
async function cancelBackend(connectionString: string, pid: number | undefined): Promise<void> {
  try {
    await using direct = await connectDirect({ connectionString, applicationName: 'event-runtime slot' });
    await direct.client.query('select pg_cancel_backend($1)', [pid]);
  } catch {
    // Then the service says that it did not stop in time.
  }
}

/** A database that cannot be reached is worth another try, whatever the driver calls it. */
async function reached<T>(query: Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    const result = await orAborted(query, signal);
    signal.throwIfAborted();
    return result as T;
  } catch (cause) {
    signal.throwIfAborted();
    if (isEventRuntimeError(cause) || (cause instanceof Error && 'severity' in cause)) throw cause;
    throw runtimeError('ER1001', { cause });
  }
}
