import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';

/** What PostgreSQL itself says of the slot that carried the events. */
export interface SlotEvidence {
  /** Transactions that were decoded and sent through the slot (again after a reconnect). 0 without a slot. */
  readonly slotTransactions: number;
  /** Whether the slot's reader has confirmed everything up to the asked position. */
  readonly confirmedFlushReached: boolean;
}

/**
 * Asks PostgreSQL, not the relay. `total_txns` is brought up to date with every decoded commit
 * (PostgreSQL 15 and later keep it in shared memory), also when the reader is killed afterwards.
 *
 * @param asked.slot name of the slot
 * @param asked.lsn position after the last commit, as PostgreSQL's text
 */
export async function slotEvidence(
  database: pg.Pool,
  asked: { readonly slot: string; readonly lsn: string },
): Promise<SlotEvidence> {
  const { rows } = await database.query<SlotEvidence>(
    `select coalesce(t.total_txns, 0)::float8 as "slotTransactions",
            coalesce(s.confirmed_flush_lsn >= $2::pg_lsn, false) as "confirmedFlushReached"
     from pg_replication_slots s
     left join pg_stat_replication_slots t using (slot_name)
     where s.slot_name = $1`,
    [asked.slot, asked.lsn],
  );
  return rows[0] ?? { slotTransactions: 0, confirmedFlushReached: false };
}

/** Waits until the position is confirmed, or the time is over. */
export async function awaitConfirmed(
  database: pg.Pool,
  asked: {
    readonly slot: string;
    readonly lsn: string;
    readonly timeoutMs: number;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const deadline = performance.now() + asked.timeoutMs;
  while (performance.now() < deadline) {
    if ((await slotEvidence(database, asked)).confirmedFlushReached) return;
    await sleep(50, undefined, { signal: asked.signal });
  }
}
