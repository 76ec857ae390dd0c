import type { Pool } from 'pg';
import { runtimeError } from '../errors/codes.ts';
import { orAborted } from '../internal/or-aborted.ts';
import { isPoolersRefusal, refusePooler } from '../internal/pooler.ts';
import { isRefusal, unreachable } from '../internal/unreachable.ts';
import { readServerLog } from '../log/timeline.ts';
import { ReplicationConnection } from '../replication/replication-connection.ts';
import { describeSlot, refuseForeignSlot } from '../replication/slot.ts';
import { schemaStatus } from '../schema/migrator.ts';
import type { Logger } from '../telemetry/logger.ts';
import { refuseForeignRows } from './foreign-rows.ts';
import { usablePublication } from './slot/publication.ts';

/** The publication that the migrations make. */
export const publicationName = 'event_runtime';

export interface PreflightOptions {
  readonly connectionString: string;
  readonly pool: Pool;
  readonly source: 'wal' | 'table';
  readonly slot: string;
  readonly unboundedWal: 'refuse' | 'warn';
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * What must be right before anything is begun.
 *
 * @throws ER1001 not reachable, ER1002 wal_level, ER1003 no replication, ER1004 a pooler in between, ER1005 encoding,
 *   ER1006 version, ER1101 and ER1102 the schema is older or newer than this program can use, ER1203 unlimited WAL,
 *   ER1204 no publication, ER1303 it does not carry the outbox, ER1208 a standby, ER1211 the slot is of another database,
 *   ER1213 it is of another kind, ER1214 rows of another cluster; the signal's reason
 */
export async function preflight(options: PreflightOptions): Promise<void> {
  const { connectionString, pool, source, slot, signal } = options;
  await reached(checkDirect(pool), signal);
  await reached(readServerLog(pool), signal);
  if (source === 'wal') {
    await using replication = await ReplicationConnection.open({ connectionString, signal });
    void replication;
    await checkWalBound(options);
  }
  await reached(checkSchema(pool), signal);
  await reached(refuseForeignRows(pool), signal);
  if (source !== 'wal') return;
  await reached(usablePublication(pool, publicationName), signal);
  const state = await reached(describeSlot(pool, slot), signal);
  if (state !== undefined) refuseForeignSlot(state);
}

/** @throws ER1004 the pool's connections go through a pooler */
export async function checkDirect(pool: Pool): Promise<void> {
  const client = await pool.connect();
  try {
    await refusePooler(client);
  } finally {
    client.release();
  }
}

async function checkWalBound({ pool, unboundedWal, logger, signal }: PreflightOptions): Promise<void> {
  const { rows } = await reached(
    pool.query<{ bound: string }>("select current_setting('max_slot_wal_keep_size') as bound"),
    signal,
  );
  if (rows[0]?.bound !== '-1') return;
  const error = runtimeError('ER1203');
  if (unboundedWal !== 'warn') throw error;
  logger.warn('relay.slot.unbounded', { error });
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

/** A database that cannot be reached is worth another try, whatever the driver calls it. */
export async function reached<T>(query: Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    const result = await orAborted(query, signal);
    signal.throwIfAborted();
    return result as T;
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof Error && 'severity' in cause && !isRefusal(cause) && !isPoolersRefusal(cause))
      throw cause;
    throw unreachable(cause);
  }
}
