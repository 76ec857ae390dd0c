import { setTimeout as sleep } from 'node:timers/promises';
import { type EventRuntimeError, isEventRuntimeError } from '@event-runtime/outbox';
import type { Pool } from 'pg';
import { runtimeError } from '../../errors/codes.ts';
import { Snapshot } from '../../log/snapshot.ts';
import { WalReader } from '../../log/wal-reader.ts';
import { type Lsn, zeroLsn } from '../../replication/lsn.ts';
import { describeSlot, dropSlot, isLost, refuseForeignSlot, type SlotState } from '../../replication/slot.ts';
import { createSlotAt } from '../../replication/slot-creation.ts';
import { describeReader, relayReaderName } from '../../replication/slot-reader.ts';
import type { LogEvent } from '../../telemetry/log-events.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { reached } from '../preflight.ts';
import type { OpenedLog } from '../session.ts';
import { type Publication, usablePublication } from './publication.ts';
import { SlotDispute } from './slot-dispute.ts';

export interface SlotKeeperOptions {
  /** A direct connection string, of a role that may use replication. */
  readonly connectionString: string;
  readonly pool: Pool;
  /** The relay's name: its readers are known by it. */
  readonly relay: string;
  readonly slot: string;
  readonly publication: string;
  readonly failover: boolean;
  readonly walSenderTimeoutMs: number | undefined;
  readonly logger: Logger;
}

/** What is known when a slot is opened. */
export interface SlotOpening {
  /** Of the server that the checkpoints were read from: the slot of another one is not read (ER1210). */
  readonly timeline: number;
  /** Whether a sink of ours goes on where the slot does, so that the slot is the one that it has read from before. */
  readonly ours: (sent: SentFrom) => boolean;
}

/** What a slot sends. */
export interface SentFrom {
  /** Transactions that end before are not sent again. */
  readonly confirmed: Lsn;
  /** Of what was committed before that transaction, some may not be sent at all. */
  readonly changedBy: bigint;
}

/** Milliseconds between two looks at a slot that another connection still holds. */
const busyMs = 200;

/** Milliseconds between two looks at what somebody has to mend. */
const unusableMs = 1_000;

/**
 * The life of one slot: made when it is missing or lost, taken over when another connection holds it, opened.
 *
 * What it sends is decoded by the publication as it was when each row was written. So a publication that was changed
 * is as good as a slot that was lost: PostgreSQL 18 leaves rows out without a word, 15 ends the stream for ever.
 */
export class SlotKeeper {
  readonly #options: SlotKeeperOptions;
  /** As it was when the log was opened. */
  #publication: Publication | undefined;
  /** Why the slot can be read no more, although the server does not call it lost. */
  #condemned: string | undefined;
  readonly #dispute: SlotDispute;
  /** Whether we have opened the slot that is there, or was. */
  #opened = false;
  /** What somebody has to mend before the slot can be opened. */
  #unmended: EventRuntimeError | undefined;

  constructor(options: SlotKeeperOptions) {
    this.#options = options;
    this.#dispute = new SlotDispute(options);
  }

  /** Why the slot is not read, where that does not mend itself: ER1201, ER1204, ER1211, ER1213, ER1303. */
  get trouble(): EventRuntimeError | undefined {
    return this.#unmended ?? this.#dispute.trouble;
  }

  /**
   * Opens the slot if that can be done at once.
   * @returns the log, and what it sends; undefined: it takes {@link open}
   */
  async openNow(
    signal: AbortSignal,
    { timeline }: Pick<SlotOpening, 'timeline'>,
  ): Promise<({ readonly log: OpenedLog } & SentFrom) | undefined> {
    this.#publication = undefined;
    const publication = await this.#usable(signal).catch(orToMend);
    const state = await this.#look(signal).catch(orToMend);
    if (publication instanceof Error || state instanceof Error || this.#condemned !== undefined)
      return undefined;
    if (state === undefined || state.confirmedFlushLsn === null || state.active || isLost(state))
      return undefined;
    try {
      const reader = await this.#read(signal, timeline);
      this.#unmended = undefined;
      this.#opened = true;
      this.#publication = publication;
      const { changedBy } = publication;
      const log = await withBarrier(reader, async () => await this.#forgotten(signal));
      return { log, confirmed: state.confirmedFlushLsn, changedBy };
    } catch (error) {
      if (isEventRuntimeError(error) && (error.code === 'ER1201' || error.code === 'ER1202'))
        return undefined;
      throw error;
    }
  }

  /**
   * Opens the slot, however long it takes: until another connection has let go of it, until somebody has mended what
   * {@link trouble} says, or until a new one is made, which waits for every open transaction.
   *
   * @throws ER1001, ER1003, ER1210; the signal's reason
   */
  async open(signal: AbortSignal, { timeline, ours }: SlotOpening): Promise<OpenedLog> {
    const { pool, slot, logger } = this.#options;
    // Before the slot: one that is older than its publication can never be read.
    const publication = await this.#mended('relay.publication.unusable', () => this.#usable(signal), signal);
    const { changedBy } = publication;
    this.#publication = publication;
    // When one is made, by us or by another before us, it is none that our sinks have read from.
    let made = false;
    for (;;) {
      signal.throwIfAborted();
      const state = await this.#mended('relay.slot.foreign', () => this.#look(signal), signal);
      if (state === undefined) {
        // No checkpoint may say that it was ours: those of the first second are of the table.
        if (!made && (this.#opened || ours({ confirmed: zeroLsn, changedBy: 0n }))) {
          logger.error('relay.slot.lost', { reason: 'it was dropped' });
        }
        made = true;
        this.#opened = false;
        this.#condemned = undefined;
        const barrier = await this.#create(signal);
        if (barrier === undefined) continue;
        const reader = await this.#readUnlessTaken(signal, timeline);
        if (reader === undefined) continue;
        this.#opened = true;
        return { reader, barrier };
      } else if (isLost(state)) {
        logger.error('relay.slot.lost', { reason: state.invalidationReason ?? 'its WAL was removed' });
        made = true;
        this.#opened = false;
        this.#condemned = undefined;
        await dropSlot(pool, { slot, onlyIfLost: true, terminateReader: true, signal });
      } else if (this.#condemned !== undefined) {
        if (!made) logger.error('relay.slot.lost', { reason: this.#condemned });
        made = true;
        this.#opened = false;
        const onlyAt = state.restartLsn ?? undefined;
        const dropped = await dropSlot(pool, { slot, onlyAt, terminateReader: true, signal });
        if (dropped) this.#condemned = undefined;
        // Or it is another's by now, whose lease ends ours: time to hear of it.
        else await sleep(busyMs, undefined, { signal });
      } else if (state.active) {
        const other = await reached(describeReader(pool, slot), signal);
        if (other !== undefined) await this.#dispute.meet(other);
        await sleep(busyMs, undefined, { signal });
      } else {
        const reader = await this.#readUnlessTaken(signal, timeline);
        if (reader === undefined) continue;
        this.#opened = true;
        const known = !made && ours({ confirmed: state.confirmedFlushLsn ?? zeroLsn, changedBy });
        return await withBarrier(reader, async () => {
          return known ? await this.#forgotten(signal) : await this.#strangersBarrier(signal);
        });
      }
    }
  }

  /** The stream has ended because of its publication: it would end there again. */
  condemn(reason: string): void {
    this.#condemned = reason;
  }

  /**
   * To be called after a tick, before its snapshot is used: whether what that sees was decoded by the publication with
   * which the log was opened. @throws ER1212
   */
  async verify(): Promise<void> {
    if (this.#publication === undefined) return;
    const now = await usablePublication(this.#options.pool, this.#options.publication).catch(orToMend);
    if (now instanceof Error) throw runtimeError('ER1212', { detail: now.message, cause: now });
    if (now.changedBy !== this.#publication.changedBy) throw runtimeError('ER1212');
  }

  /** Looks until somebody has mended what it finds wrong: meanwhile the table serves. */
  async #mended<T>(event: LogEvent, look: () => Promise<T>, signal: AbortSignal): Promise<T> {
    for (let said = false; ; said = true) {
      const found = await look().catch(orToMend);
      if (!(found instanceof Error)) {
        this.#unmended = undefined;
        return found;
      }
      this.#unmended = found;
      if (!said) this.#options.logger.error(event, { error: found });
      await sleep(unusableMs, undefined, { signal });
    }
  }

  async #usable(signal: AbortSignal): Promise<Publication> {
    const { pool, publication } = this.#options;
    return await reached(usablePublication(pool, publication), signal);
  }

  /** A slot that was open at once and that none of our sinks has read from before. */
  async guarded(log: OpenedLog, signal: AbortSignal): Promise<OpenedLog> {
    return await withBarrier(log.reader, async () => await this.#strangersBarrier(signal));
  }

  async #create(signal: AbortSignal): Promise<Snapshot | undefined> {
    const { connectionString, relay, slot, failover, logger } = this.#options;
    logger.info('relay.slot.creating');
    const snapshot = await createSlotAt({
      connectionString,
      slot,
      failover,
      applicationName: relayReaderName(relay),
      signal,
    });
    if (snapshot === undefined) return undefined;
    // failpoint: slot.created
    logger.info('relay.slot.created');
    return Snapshot.parse(snapshot);
  }

  async #readUnlessTaken(signal: AbortSignal, timeline: number): Promise<WalReader | undefined> {
    try {
      return await this.#read(signal, timeline);
    } catch (error) {
      if (!(isEventRuntimeError(error) && (error.code === 'ER1201' || error.code === 'ER1202'))) throw error;
      await sleep(busyMs, undefined, { signal });
      return undefined;
    }
  }

  /**
   * For a slot of ours that was opened: it forgot nothing that a snapshot of ours had not seen, so the present one sees
   * all of that. An older one may not: the end of a batch that another life began, a tick.
   */
  async #forgotten(signal: AbortSignal): Promise<Snapshot> {
    const { rows } = await reached(
      this.#options.pool.query<{ seen: string }>('select pg_current_snapshot()::text as seen'),
      signal,
    );
    return Snapshot.parse(rows[0]?.seen ?? '');
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

  /** @throws ER1211, ER1213 */
  async #look(signal: AbortSignal): Promise<SlotState | undefined> {
    const { pool, slot } = this.#options;
    const state = await reached(describeSlot(pool, slot), signal);
    if (state !== undefined) refuseForeignSlot(state);
    if (state?.active !== true) this.#dispute.over();
    return state;
  }

  /** The signal ends the opening only: a stop needs the stream for its last confirmation. */
  async #read(signal: AbortSignal, timeline: number): Promise<WalReader> {
    const { connectionString, relay, slot, publication, walSenderTimeoutMs } = this.#options;
    const opening = new AbortController();
    const abort = (): void => opening.abort(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    try {
      const reader = await WalReader.open({
        connectionString,
        slot,
        publication,
        walSenderTimeoutMs,
        applicationName: relayReaderName(relay),
        signal: opening.signal,
      });
      if (reader.timeline === timeline) return reader;
      await reader[Symbol.asyncDispose]();
      throw runtimeError('ER1210', { detail: `Timeline ${reader.timeline}, not ${timeline}.` });
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }
}

/** The reader is of no use without what is asked for: its connection would hold the slot. */
async function withBarrier(reader: WalReader, ask: () => Promise<Snapshot>): Promise<OpenedLog> {
  try {
    return { reader, barrier: await ask() };
  } catch (error) {
    await reader[Symbol.asyncDispose]();
    throw error;
  }
}

/** The publication, or the slot, is not as it must be. */
const toMend: ReadonlySet<string> = new Set(['ER1204', 'ER1211', 'ER1213', 'ER1303']);

/** Passes on what somebody has to mend. @throws everything else */
function orToMend(error: unknown): EventRuntimeError {
  if (isEventRuntimeError(error) && toMend.has(error.code)) return error;
  throw error;
}
