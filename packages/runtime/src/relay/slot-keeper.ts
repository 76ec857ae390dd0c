import { setTimeout as sleep } from 'node:timers/promises';
import { isEventRuntimeError } from '@event-runtime/outbox';
import type { Pool } from 'pg';
import { Snapshot } from '../log/snapshot.ts';
import { WalReader } from '../log/wal-reader.ts';
import type { Lsn } from '../replication/lsn.ts';
import {
  checkPublication,
  describeSlot,
  dropSlot,
  type SlotState,
  terminateReader,
} from '../replication/slot.ts';
import { createSlotAt } from '../replication/slot-creation.ts';
import type { Logger } from '../telemetry/logger.ts';
import { reached } from './preflight.ts';
import type { OpenedLog } from './session.ts';

export interface SlotKeeperOptions {
  /** A direct connection string, of a role that may use replication. */
  readonly connectionString: string;
  readonly pool: Pool;
  readonly slot: string;
  readonly publication: string;
  readonly failover: boolean;
  readonly walSenderTimeoutMs: number | undefined;
  readonly logger: Logger;
}

/** Milliseconds between two looks at a slot that another connection still holds. */
const busyMs = 200;

/** The life of one slot: made when it is missing or lost, taken over when a stale connection holds it, opened. */
export class SlotKeeper {
  readonly #options: SlotKeeperOptions;

  constructor(options: SlotKeeperOptions) {
    this.#options = options;
  }

  /**
   * Opens the slot if that can be done at once.
   * @returns the log, and up to where the slot was confirmed before; undefined: it takes {@link open}
   */
  async openNow(
    signal: AbortSignal,
  ): Promise<{ readonly log: OpenedLog; readonly confirmed: Lsn } | undefined> {
    const { pool, slot } = this.#options;
    const state = await reached(describeSlot(pool, slot), signal);
    if (state === undefined || state.confirmedFlushLsn === null || state.active || isLost(state))
      return undefined;
    try {
      const reader = await this.#read(signal);
      return { log: { reader, barrier: undefined }, confirmed: state.confirmedFlushLsn };
    } catch (error) {
      if (isEventRuntimeError(error) && (error.code === 'ER1201' || error.code === 'ER1202'))
        return undefined;
      throw error;
    }
  }

  /**
   * Opens the slot, however long it takes: until another connection has let go of it, or until a new one is made,
   * which waits for every open transaction.
   *
   * @param options `ours`: a sink of ours has read from it before
   * @throws ER1001, ER1003, ER1204; the signal's reason
   */
  async open(signal: AbortSignal, options: { readonly ours: boolean }): Promise<OpenedLog> {
    const { pool, slot, publication, logger } = this.#options;
    // Before the slot: one that is older than its publication can never be read.
    await reached(checkPublication(pool, publication), signal);
    let { ours } = options;
    for (;;) {
      signal.throwIfAborted();
      const state = await reached(describeSlot(pool, slot), signal);
      if (state === undefined) {
        if (ours) logger.error('relay.slot.lost', { reason: 'it was dropped' });
        // If another makes one before us, that is none that our sinks have read from.
        ours = false;
        const barrier = await this.#create(signal);
        if (barrier !== undefined) return { reader: await this.#read(signal), barrier };
      } else if (isLost(state)) {
        logger.error('relay.slot.lost', { reason: state.invalidationReason ?? 'its WAL was removed' });
        ours = false;
        await dropSlot(pool, { slot, terminateReader: true, signal });
      } else if (state.active) {
        await terminateReader(pool, slot);
        await sleep(busyMs, undefined, { signal });
      } else {
        const reader = await this.#readUnlessTaken(signal);
        if (reader === undefined) continue;
        return { reader, barrier: ours ? undefined : await this.#strangersBarrier(signal) };
      }
    }
  }

  /** A slot that was open at once and that none of our sinks has read from before. */
  async guarded(log: OpenedLog, signal: AbortSignal): Promise<OpenedLog> {
    return { reader: log.reader, barrier: await this.#strangersBarrier(signal) };
  }

  async #create(signal: AbortSignal): Promise<Snapshot | undefined> {
    const { connectionString, slot, failover, logger } = this.#options;
    logger.info('relay.slot.creating');
    const snapshot = await createSlotAt({ connectionString, slot, failover, signal });
    if (snapshot === undefined) return undefined;
    // failpoint: slot.created
    logger.info('relay.slot.created');
    return Snapshot.parse(snapshot);
  }

  async #readUnlessTaken(signal: AbortSignal): Promise<WalReader | undefined> {
    try {
      return await this.#read(signal);
    } catch (error) {
      if (!(isEventRuntimeError(error) && (error.code === 'ER1201' || error.code === 'ER1202'))) throw error;
      await sleep(busyMs, undefined, { signal });
      return undefined;
    }
  }

  /**
   * For a slot that we cannot tell to be ours: everything that had begun by now must have ended before the table and
   * the slot together have it all.
   */
  async #strangersBarrier(signal: AbortSignal): Promise<Snapshot> {
    const { rows } = await reached(
      this.#options.pool.query<{ xid: string }>('select pg_current_xact_id()::text as xid'),
      signal,
    );
    const xid = rows[0]?.xid ?? '3';
    return Snapshot.parse(`${xid}:${xid}:`);
  }

  /** The signal ends the opening only: a stop needs the stream for its last confirmation. */
  async #read(signal: AbortSignal): Promise<WalReader> {
    const { connectionString, slot, publication, walSenderTimeoutMs } = this.#options;
    const opening = new AbortController();
    const abort = (): void => opening.abort(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    try {
      return await WalReader.open({
        connectionString,
        slot,
        publication,
        walSenderTimeoutMs,
        signal: opening.signal,
      });
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }
}

function isLost(state: SlotState): boolean {
  return state.walStatus === 'lost' || state.invalidationReason !== null;
}
