import type { EventRuntimeError } from '@event-runtime/outbox';
import type { Pool } from 'pg';
import { runtimeError } from '../../errors/codes.ts';
import { sqlState } from '../../internal/sql-state.ts';
import { terminateReader } from '../../replication/slot.ts';
import { readerText, relayReaderName, type SlotReader } from '../../replication/slot-reader.ts';
import type { Logger } from '../../telemetry/logger.ts';

export interface SlotDisputeOptions {
  readonly pool: Pool;
  readonly slot: string;
  /** The relay's name. */
  readonly relay: string;
  readonly logger: Logger;
  /** Monotonic milliseconds; given by tests. Default `performance.now`. */
  readonly clock?: () => number;
}

/** So many readers that are not ours are ended in a row; then there is a pause before the next. */
const freeEndings = 3;

/** The first such pause, and the longest; each is twice the one before. Milliseconds. */
const firstPauseMs = 60_000;
const longestPauseMs = 3_600_000;

/** Without an ending for so long, or for twice the pause if that is longer, all is forgotten. Milliseconds. */
const peaceMs = 600_000;

/**
 * Who may read the slot, when somebody else does although this replica has the lease. A connection of the same relay is
 * stale: its lease is lost, for we have it. It is ended, quickly and as often as it takes. Anybody else is ended too, and
 * named; but who comes back again and again is somebody's program: two that end each other serve nobody. It is left
 * alone for longer and longer, until the slot is free; the table serves meanwhile.
 */
export class SlotDispute {
  readonly #options: SlotDisputeOptions;
  readonly #clock: () => number;
  /** Of readers that are not ours, in a row. */
  #endings = 0;
  #endedAt = Number.NEGATIVE_INFINITY;
  /** Who was told to end last; it takes a moment to go. */
  #told: SlotReader | undefined;
  /** Whether this pause was spoken of. */
  #said = false;
  #trouble: EventRuntimeError | undefined;

  constructor(options: SlotDisputeOptions) {
    this.#options = options;
    this.#clock = options.clock ?? (() => performance.now());
  }

  /** ER1201 while somebody who is not ours reads the slot. */
  get trouble(): EventRuntimeError | undefined {
    return this.#trouble;
  }

  /** The slot is free, or ours. */
  over(): void {
    this.#trouble = undefined;
  }

  /** Ends the reader, or leaves it alone for now. To be asked again until the slot is free. */
  async meet(reader: SlotReader): Promise<void> {
    const { slot, relay, logger } = this.#options;
    if (reader.applicationName === relayReaderName(relay)) {
      this.#trouble = undefined;
      if (!(await this.#end(reader))) return;
      logger.info('relay.slot.reader.ended', { ...reader });
      return;
    }
    const what = `Slot ${slot} is read by ${readerText(reader)}`;
    this.#trouble = runtimeError('ER1201', { detail: `${what}.` });
    if (!this.#isTold(reader) && this.#pauseLeftMs > 0) {
      this.#leave(reader);
      return;
    }
    try {
      if (!(await this.#end(reader))) return;
      logger.warn('relay.slot.reader.ended', { ...reader });
      this.#count(this.#endings + 1);
    } catch (error) {
      // insufficient_privilege: of another role, or of a superuser.
      if (sqlState(error) !== '42501') throw error;
      this.#trouble = runtimeError('ER1201', {
        detail: `${what}, and this role may not end it.`,
        cause: error,
      });
      this.#count(Math.max(this.#endings + 1, freeEndings));
      this.#leave(reader);
    }
  }

  /** @returns whether it was told to end, for the first time */
  async #end(reader: SlotReader): Promise<boolean> {
    const { pool, slot } = this.#options;
    // It may be gone, or stand still: then it goes by itself.
    if (!(await terminateReader(pool, { slot, pid: reader.pid }))) return false;
    const first = !this.#isTold(reader);
    this.#told = reader;
    return first;
  }

  #isTold({ pid, since }: SlotReader): boolean {
    return this.#told?.pid === pid && this.#told.since === since;
  }

  #count(endings: number): void {
    this.#endings = endings;
    this.#endedAt = this.#clock();
    this.#said = false;
  }

  /** Milliseconds in which no reader is ended that was not told to end already. */
  get #pauseLeftMs(): number {
    const pause = Math.min(firstPauseMs * 2 ** (this.#endings - freeEndings), longestPauseMs);
    const past = this.#clock() - this.#endedAt;
    if (past > Math.max(peaceMs, 2 * pause)) this.#endings = 0;
    return this.#endings < freeEndings ? 0 : pause - past;
  }

  #leave(reader: SlotReader): void {
    if (this.#said) return;
    this.#said = true;
    this.#options.logger.error('relay.slot.contested', {
      error: this.#trouble,
      ...reader,
      pauseMs: Math.round(this.#pauseLeftMs),
    });
  }
}
