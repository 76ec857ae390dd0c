import { setTimeout as sleep } from 'node:timers/promises';
import { runtimeError } from '../errors/codes.ts';
import { sqlState } from '../internal/sql-state.ts';
import { formatLsn, type Lsn, parseLsn } from './lsn.ts';
import { quoteLiteral } from './replication-connection.ts';
import { streamError } from './server-error.ts';

/** What runs SQL: a `pg` client, a pool, or a {@link ReplicationConnection}. Values are written into the text. */
export interface SqlClient {
  query(text: string): Promise<{ readonly rows: readonly unknown[] }>;
}

/** A row of `pg_replication_slots`. */
export interface SlotState {
  readonly slot: string;
  /** Null for a physical slot. */
  readonly database: string | null;
  /** Whether that is the database which was asked. */
  readonly here: boolean;
  /** Null for a physical slot. */
  readonly plugin: string | null;
  readonly temporary: boolean;
  readonly active: boolean;
  /** The walsender that reads it. */
  readonly activePid: number | null;
  /** WAL from here on is kept for the slot; null once it is lost. */
  readonly restartLsn: Lsn | null;
  /** Transactions that end before are never sent again. */
  readonly confirmedFlushLsn: Lsn | null;
  /** `lost` cannot be revived; `unreserved` may become lost at the next checkpoint. */
  readonly walStatus: 'reserved' | 'extended' | 'unreserved' | 'lost' | null;
  /** Bytes that may still be written before the slot may be lost; null: no limit. */
  readonly safeWalBytes: bigint | null;
  /** Why the slot can no longer be read (PostgreSQL 17 and later); null: it can, or the server does not say. */
  readonly invalidationReason: string | null;
}

interface SlotRow {
  readonly slot: string;
  readonly database: string | null;
  readonly here: boolean;
  readonly plugin: string | null;
  readonly temporary: boolean;
  readonly active: boolean;
  readonly active_pid: number | null;
  readonly restart_lsn: string | null;
  readonly confirmed_flush_lsn: string | null;
  readonly wal_status: SlotState['walStatus'];
  readonly safe_wal_bytes: string | null;
  readonly invalidation_reason: string | null;
}

/** The slot as the server sees it; undefined: there is none of this name. */
export async function describeSlot(client: SqlClient, slot: string): Promise<SlotState | undefined> {
  // Through jsonb, because the column came with PostgreSQL 17.
  const { rows } = await client.query(
    `select s.slot_name as slot, s.database, coalesce(s.database = current_database(), false) as here,
            s.plugin, s.temporary, s.active, s.active_pid,
            s.restart_lsn::text as restart_lsn, s.confirmed_flush_lsn::text as confirmed_flush_lsn,
            s.wal_status, s.safe_wal_size::text as safe_wal_bytes,
            to_jsonb(s) ->> 'invalidation_reason' as invalidation_reason
     from pg_catalog.pg_replication_slots s where s.slot_name = ${quoteLiteral(slot)}`,
  );
  const row = rows[0] as SlotRow | undefined;
  if (row === undefined) return undefined;
  return {
    slot: row.slot,
    database: row.database,
    here: row.here,
    plugin: row.plugin,
    temporary: row.temporary,
    active: row.active,
    activePid: row.active_pid,
    restartLsn: row.restart_lsn === null ? null : parseLsn(row.restart_lsn),
    confirmedFlushLsn: row.confirmed_flush_lsn === null ? null : parseLsn(row.confirmed_flush_lsn),
    walStatus: row.wal_status,
    safeWalBytes: row.safe_wal_bytes === null ? null : BigInt(row.safe_wal_bytes),
    invalidationReason: row.invalidation_reason,
  };
}

/**
 * Makes a slot for pgoutput if there is none of this name. It waits for every transaction that is open at
 * the moment, prepared ones too. The publication must be older: changes that were written before a
 * publication existed can never be decoded for it.
 * @returns whether it was made now. `temporary`: it ends with the client's session.
 */
export async function createSlot(
  client: SqlClient,
  options: { readonly slot: string; readonly temporary?: boolean },
): Promise<boolean> {
  if (options.temporary !== true && (await describeSlot(client, options.slot)) !== undefined) return false;
  try {
    await client.query(
      `select pg_catalog.pg_create_logical_replication_slot(${quoteLiteral(options.slot)}, 'pgoutput', ${
        options.temporary === true
      })`,
    );
    return true;
  } catch (cause) {
    // duplicate_object: somebody else was faster.
    if (options.temporary !== true && sqlState(cause) === '42710') return false;
    throw cause;
  }
}

/** As {@link isLost}, of a row `s` of `pg_replication_slots`. */
const lost = `(s.wal_status = 'lost' or to_jsonb(s) ->> 'invalidation_reason' is not null)`;

/** Whether the slot can be read no more. */
export function isLost(state: SlotState): boolean {
  return state.walStatus === 'lost' || state.invalidationReason !== null;
}

/** Which slot is meant: who was stopped since he looked must not end or drop what another has made meanwhile. */
interface MeantSlot {
  readonly slot: string;
  /** Only if it cannot be read any more, as the server finds when it does what is asked. Default false. */
  readonly onlyIfLost?: boolean;
  /** Only if WAL is kept for it from here on; a newer slot keeps later WAL. Default: wherever. */
  readonly onlyAt?: Lsn | undefined;
}

/** The condition on a row `s` of `pg_replication_slots`. */
function meant({ slot, onlyIfLost = false, onlyAt }: MeantSlot): string {
  const place = onlyAt === undefined ? '' : ` and s.restart_lsn = ${quoteLiteral(formatLsn(onlyAt))}`;
  return `s.slot_name = ${quoteLiteral(slot)}${onlyIfLost ? ` and ${lost}` : ''}${place}`;
}

export interface DropSlotOptions extends MeantSlot {
  /** Calls {@link terminateReader}, instead of only waiting. Default false. */
  readonly terminateReader?: boolean;
  /** How long to wait for the slot to be free. Milliseconds; default 10 000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Drops a slot once nobody reads it; the WAL that it kept is released.
 * @returns whether there was one
 * @throws ER1201 still in use after the timeout; the signal's reason
 */
export async function dropSlot(client: SqlClient, options: DropSlotOptions): Promise<boolean> {
  const { slot, onlyIfLost = false, onlyAt, signal } = options;
  const drop =
    onlyIfLost || onlyAt !== undefined
      ? `select pg_catalog.pg_drop_replication_slot(s.slot_name) from pg_catalog.pg_replication_slots s
          where ${meant(options)}`
      : `select pg_catalog.pg_drop_replication_slot(${quoteLiteral(slot)})`;
  const deadline = performance.now() + (options.timeoutMs ?? 10_000);
  for (let pause = 10; ; pause = Math.min(pause * 2, 200)) {
    signal?.throwIfAborted();
    try {
      return (await client.query(drop)).rows.length > 0;
    } catch (cause) {
      const state = sqlState(cause);
      if (state === '42704') return false;
      if (state !== '55006' || performance.now() >= deadline) {
        throw streamError(cause, { slot, publication: '' });
      }
    }
    if (options.terminateReader === true) await terminateReader(client, options);
    await sleep(pause, undefined, { ...(signal === undefined ? {} : { signal }) });
  }
}

/**
 * Ends the connection that reads the slot, unless that would make it stay: a walsender that waits for its
 * client to read (the client was stopped, or lags) cannot get rid of its farewell, and once terminated it
 * no longer looks at `wal_sender_timeout` either. It then holds the slot for as long as the client's
 * socket lives (seen on PostgreSQL 15 and 18). Left alone it goes by itself when its client has given no
 * sign of life for `wal_sender_timeout`, which a stream sets for its own connection.
 *
 * @param reader.pid only this one: who was stopped since he looked must not end the one that has followed
 * @returns whether a reader was told to end; it takes a moment to go
 */
export async function terminateReader(
  client: SqlClient,
  reader: MeantSlot & { readonly pid?: number },
): Promise<boolean> {
  const { rows } = await client.query(
    `select pg_catalog.pg_terminate_backend(s.active_pid) as told
     from pg_catalog.pg_replication_slots s
     join pg_catalog.pg_stat_activity a on a.pid = s.active_pid
     where ${meant(reader)} and coalesce(a.backend_type, 'walsender') = 'walsender' and a.wait_event is distinct from 'WalSenderWriteData'${
       reader.pid === undefined ? '' : ` and a.pid = ${reader.pid}`
     }`,
  );
  return rows.length > 0;
}

/**
 * Slots belong to the whole cluster, whoever made them: one that is not ours is neither read, nor taken over, nor dropped.
 * @throws ER1213 physical, or of another plugin; ER1211 of another database
 */
export function refuseForeignSlot({ slot, plugin, database, here }: SlotState): void {
  if (plugin === null)
    throw runtimeError('ER1213', { detail: `Slot ${slot} is physical: one for a standby.` });
  if (!here) throw runtimeError('ER1211', { detail: `Slot ${slot} is of database ${database}.` });
  if (plugin === 'pgoutput') return;
  throw runtimeError('ER1213', { detail: `Slot ${slot} is for the plugin ${plugin}, not pgoutput.` });
}

/** @throws ER1202 missing or invalidated, ER1201 in use, ER1211 and ER1213 not ours */
export async function checkSlot(client: SqlClient, slot: string): Promise<void> {
  const state = await describeSlot(client, slot);
  if (state === undefined) throw runtimeError('ER1202', { detail: `There is no slot ${slot}.` });
  refuseForeignSlot(state);
  if (isLost(state)) {
    throw runtimeError('ER1202', {
      detail: `Slot ${slot} is invalidated: ${state.invalidationReason ?? 'its WAL was removed'}.`,
    });
  }
  if (state.active) {
    throw runtimeError('ER1201', { detail: `Slot ${slot} is read by process ${state.activePid}.` });
  }
}

/** @throws ER1204 there is none of this name */
export async function checkPublication(client: SqlClient, publication: string): Promise<void> {
  const { rows } = await client.query(
    `select p.oid from pg_catalog.pg_publication p where p.pubname = ${quoteLiteral(publication)}`,
  );
  if (rows.length === 0) {
    throw runtimeError('ER1204', { detail: `There is no publication ${publication} in this database.` });
  }
}
