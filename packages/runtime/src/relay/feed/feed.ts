import { orAborted } from '../../internal/or-aborted.ts';
import {
  type Checkpoint,
  type CheckpointOwner,
  isTurnedAway,
  type StoredCheckpoint,
} from '../../log/checkpoint.ts';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import type { TableReader } from '../../log/table-reader.ts';
import type { DeliveryResult, Sink } from '../../sinks/sink.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { Parked } from '../letters/parked.ts';
import type { RoutesTo } from '../route.ts';
import { type Aside, Asides } from './asides.ts';
import { CheckpointWriter, type CheckpointWriterOptions, same } from './checkpoint-writer.ts';
import { Dispatcher, type Signals, type WaitingEvent } from './dispatcher.ts';
import type { BatchLimit } from './in-hand.ts';
import { readLive } from './live-phase.ts';
import { type Pair, Progress } from './progress.ts';
import { readTable } from './table-phase.ts';
import type { Place, Window } from './window.ts';

export interface FeedOptions {
  readonly sink: Sink;
  /** Undefined: it gets everything. */
  readonly routes?: RoutesTo | undefined;
  readonly stored: StoredCheckpoint;
  readonly owner: CheckpointOwner;
  /** Whether the sink may go on in the WAL after its checkpoint's position. */
  readonly resume: boolean;
  readonly window: Window;
  readonly reader: TableReader;
  /** Where checkpoints are written. */
  readonly pool: CheckpointWriterOptions['pool'];
  readonly logger: Logger;
  /** Whether the lease still holds: nothing is handed over without. */
  readonly valid: () => boolean;
  readonly onRejected: (event: LoggedEvent, result: DeliveryResult & { type: 'rejected' }) => Promise<void>;
  /** Milliseconds between two checkpoints at least. */
  readonly checkpointMs: number;
  /** Milliseconds between two looks at the table by a sink that has everything. */
  readonly pollMs: number;
  readonly limit: BatchLimit;
  /** Whether later events of an entity wait behind a dead letter of it, as letters themselves. Default false. */
  readonly afterDeadLetter?: 'continue' | 'wait';
  /** See `SinkSource`. */
  readonly deadLetterAfterMs?: number | undefined;
  /** What may be read ahead of the sink, in bytes. */
  readonly inHandBytes: number;
}

/** What the phases share. */
export interface FeedState extends FeedOptions {
  readonly dispatcher: Dispatcher;
  progress: Progress;
  /** The sink's place in the window; undefined while it reads the table. */
  place: Place | undefined;
  paused: boolean;
  /** Whether an operator wants it to go back: what is in hand is let go. */
  rewinding: boolean;
  /** Whether something was delivered that is not stored. */
  dirty: boolean;
  /** Delivered from the WAL beyond the checkpoint from which the table is read: up to which `seq`, by transaction. */
  delivered: ReadonlyMap<bigint, bigint>;
  /** Hands over one batch; false when there is none now, or when what is in hand must be read again. */
  step(signals: Signals): Promise<'done' | 'none' | 'given-up'>;
  /** Writes the checkpoint when it is due, beside the deliveries; `now`: before anything else, whatever the time. */
  save(options?: { readonly now: boolean }): Promise<void>;
}

/** Where a sink is, for operators. */
export type FeedMode = 'live' | 'catching-up' | 'paused';

/**
 * One sink's way through the log: in the WAL while it keeps up, in the table while it does not, or while there is no
 * WAL to be read.
 *
 * Invariants (feed-seam.test.ts):
 * 1. An event is handed over only after every earlier event of its entity was delivered or rejected, in either phase
 *    and across the change from one to the other.
 * 2. What is stored is true: {@link Progress} says what may be stored, and a feed that left the WAL never again
 *    stores a position in it until it has joined again.
 * 3. A sink that stands still holds nothing in the window once it has left.
 */
export class Feed {
  readonly #state: FeedState;
  readonly #writer: CheckpointWriter;
  #delivered = 0;
  readonly #asides = new Asides(() => this.wake());
  /** Nothing of the last ones was taken: what fails for them must not fail with them. */
  #asidesApart = false;
  #behind: ReadonlySet<string> = new Set();
  /** Where later events of an entity wait behind a dead letter of it; undefined: they go on. */
  readonly parked: Parked | undefined;
  readonly #behindOf = (): ReadonlySet<string> => this.#behind;

  constructor(options: FeedOptions) {
    const { stored, resume, window, limit } = options;
    const parked = options.afterDeadLetter === 'wait' ? new Parked() : undefined;
    this.parked = parked;
    const checkpoint: Checkpoint = resume ? stored.checkpoint : { ...stored.checkpoint, mode: 'table' };
    this.#writer = new CheckpointWriter(options, checkpoint);
    this.#state = {
      ...options,
      dispatcher: new Dispatcher({
        ...options,
        waits: parked === undefined ? undefined : (logged) => parked.has(logged),
        // What becomes of an event decides about the next of its entity.
        limit: { ...limit, onePerEntity: parked !== undefined },
      }),
      progress: new Progress(checkpoint, this.#behindOf),
      place: resume ? window.resume(checkpoint.position) : undefined,
      paused: stored.paused,
      rewinding: false,
      dirty: false,
      delivered: new Map(),
      step: async (signals) => await this.#step(signals),
      save: async (how) => await (how?.now === true ? this.#saveWhenDue(true) : this.#saveDue()),
    };
  }

  get sink(): Sink {
    return this.#state.sink;
  }

  get mode(): FeedMode {
    if (this.#state.paused) return 'paused';
    return this.#state.place === undefined ? 'catching-up' : 'live';
  }

  /** How many events were delivered since it was made. */
  get delivered(): number {
    return this.#delivered;
  }

  /** See {@link Dispatcher.trouble}. */
  get trouble(): unknown {
    return this.#state.dispatcher.trouble;
  }

  /** See {@link Dispatcher.waiting}. */
  get waiting(): WaitingEvent | undefined {
    return this.#state.dispatcher.waiting;
  }

  get place(): Place | undefined {
    return this.#state.place;
  }

  /** A tick: a snapshot, and a place in the log behind all that it sees. */
  offer(pair: Pair): void {
    this.#state.progress.offer(pair);
    this.#state.dispatcher.wake();
  }

  /** The WAL has moved on without events: so should the checkpoint. */
  touch(): void {
    if (this.#state.place === undefined) return;
    this.#state.dirty = true;
    this.#state.dispatcher.wake();
  }

  wake(): void {
    this.#state.dispatcher.wake();
  }

  /**
   * Hands events over beside what is read: a replay, letters that are redriven. Behind a batch of what is read, with it,
   * or between two where the sink stores its own checkpoint: nothing else is on its way to the sink meanwhile. Not while
   * the sink is paused. Whoever wants more must ask again: each time what the feed has read comes between.
   *
   * @param events few: what is read goes with them, or waits for them
   * @param signal takes them back, as long as they are not on their way to the sink
   * @returns one result for each; of what was refused nothing is kept. Undefined: they were taken back, or the feed
   *   ended, and it is not known what became of them
   */
  async handAside(
    events: readonly LoggedEvent[],
    signal?: AbortSignal,
  ): Promise<readonly DeliveryResult[] | undefined> {
    return await this.#asides.hand(events, signal);
  }

  /** What is true of the table: everything up to here is delivered. */
  get checkpoint(): Checkpoint {
    return this.#state.progress.asTable;
  }

  /**
   * Hands over nothing that is read of these entities, until others are given here: something older of theirs is to be
   * handed over before, aside. What waits is in memory, like what waits for its repetition.
   *
   * @param entities see `entityOf`
   */
  holdBack(entities: ReadonlySet<string>): void {
    // The same set may have fewer in it than before.
    if (entities.size === 0 && this.#behind.size === 0 && entities !== this.#behind) return;
    this.#behind = entities;
    this.#state.dispatcher.wake();
  }

  /** An operator paused the sink, or let it go on. */
  setPaused(paused: boolean): void {
    if (this.#state.paused === paused) return;
    this.#state.paused = paused;
    this.#state.dispatcher.wake();
  }

  /** An operator wants it to go back: the checkpoint's row says where to. */
  rewind(): void {
    if (this.#state.rewinding) return;
    this.#state.rewinding = true;
    this.leave('rewound');
    this.#state.dispatcher.wake();
  }

  /**
   * Leaves the WAL for the table, at once: also while the sink is in the middle of a batch that it never finishes, and
   * while its checkpoint cannot be stored. The one that is stored stays true, and the server does not send again what
   * is behind it only if the table has it.
   */
  leave(reason: string): void {
    const { place, progress, window, logger, sink } = this.#state;
    if (place === undefined) return;
    logger.info('relay.sink.left', { sink: sink.name, reason });
    window.leave(place);
    this.#state.place = undefined;
    this.#state.dirty = true;
    // Here, because whoever stands still does not come to it.
    void this.#saveLeft(progress.asTable);
    this.#state.dispatcher.wake();
  }

  /** Runs until `stopping`; the batch under way is finished, unless `aborted` comes too. @throws ER1207, or what the database said */
  async run(signals: Signals): Promise<void> {
    try {
      await this.#run(signals);
    } finally {
      this.#asides.end();
    }
  }

  async #run(signals: Signals): Promise<void> {
    const state = this.#state;
    while (!signals.stopping.aborted) {
      if (state.rewinding) await this.#rewind();
      if (state.place !== undefined) {
        await readLive(state, signals);
        // What the sink took in the meantime need not be read again.
        state.delivered = state.progress.delivered;
        if (state.place !== undefined && !signals.stopping.aborted) this.leave('paused');
        await orAborted(this.#writer.settled, signals.aborted);
      }
      if (signals.stopping.aborted) break;
      state.progress = new Progress(state.progress.asTable, this.#behindOf);
      await readTable(state, signals);
      if (state.place !== undefined) state.delivered = new Map();
    }
    // Another connection may hold the row: a fan-out that waits for a lock.
    await orAborted(this.#saveWhenDue(true), signals.aborted);
  }

  async #step(signals: Signals): Promise<'done' | 'none' | 'given-up'> {
    const state = this.#state;
    this.#writer.check();
    const { sink } = state;
    // What is taken and goes nowhere tells whoever gave it that the feed has ended: it waits for the rewind instead.
    const waits = state.paused || state.rewinding || signals.stopping.aborted;
    const aside = waits ? undefined : this.#asides.take();
    if (aside === undefined) return await this.#stepWith(undefined, signals);
    try {
      // A sink that stores its checkpoint with its work is given what belongs together.
      const along = sink.features.ownCheckpoint || this.#asidesApart ? undefined : aside;
      if (along === undefined) await this.#handAside(aside, signals);
      const outcome = await this.#stepWith(along, signals);
      if (outcome === 'none' && along !== undefined) await this.#handAside(aside, signals);
      return outcome;
    } finally {
      // Nothing, where it has its results.
      aside.results.resolve(undefined);
    }
  }

  async #stepWith(along: Aside | undefined, signals: Signals): Promise<'done' | 'none' | 'given-up'> {
    const state = this.#state;
    if (state.rewinding) return 'given-up';
    const { progress, place, sink } = state;
    const before = progress.inHand.passed;
    let handed: Checkpoint | undefined;
    const outcome = await state.dispatcher.step(progress.inHand, {
      ...signals,
      checkpointAt: (passed) => (handed = progress.at(passed)),
      // The window has let go of what a sink holds that has left.
      interrupted: () => state.paused || state.rewinding || state.place !== place,
      along: along && { events: along.events, settle: (results) => this.#settle(along, results) },
    });
    this.#delivered += progress.inHand.passed - before;
    if (progress.inHand.passed > before) state.dirty = true;
    if (outcome === 'done' && sink.features.ownCheckpoint && state.place === place && handed !== undefined) {
      this.#writer.note(handed);
    }
    if (outcome === 'done') {
      await this.#saveDue();
      await this.#notTooFarAhead(signals);
    }
    return outcome;
  }

  /**
   * What is delivered does not wait for the disk on which the checkpoint is written. But to a sink that stores it with
   * its work: what is written here would take that back.
   */
  async #saveDue(): Promise<void> {
    if (this.sink.features.ownCheckpoint) return await this.#saveWhenDue(false);
    this.#writer.beside(
      async () => await this.#saveWhenDue(false),
      () => this.wake(),
    );
  }

  /** Once the next checkpoint is due while one is still written: what a crash would repeat has a limit. */
  async #notTooFarAhead({ stopping }: Signals): Promise<void> {
    if (this.#writer.besideForMs < this.#state.checkpointMs) return;
    await orAborted(this.#writer.settled, stopping);
  }

  /** After everything that was to be written before. */
  async #rewind(): Promise<void> {
    const state = this.#state;
    const { sink, logger } = state;
    const checkpoint = await this.#writer.rewind();
    state.rewinding = false;
    if (checkpoint === undefined) return;
    // failpoint: rewind.applied
    state.progress = new Progress(checkpoint, this.#behindOf);
    state.delivered = new Map();
    state.dirty = false;
    logger.info('relay.sink.rewound', { sink: sink.name, snapshot: checkpoint.snapshot.toString() });
  }

  async #handAside({ events, results }: Aside, signals: Signals): Promise<void> {
    const state = this.#state;
    const { progress, place, sink } = state;
    const checkpoint = place === undefined ? progress.asTable : progress.checkpoint;
    const given = await state.dispatcher.aside(events, { ...signals, checkpoint });
    const stored = sink.features.ownCheckpoint && given.every(({ type }) => type !== 'retry');
    if (stored && state.place === place) this.#writer.note(checkpoint);
    this.#settle({ events, results }, given);
  }

  #settle({ results }: Aside, given: readonly DeliveryResult[]): void {
    this.#asidesApart = given.every(({ type }) => type === 'retry');
    results.resolve(given);
  }

  async #saveWhenDue(now: boolean): Promise<void> {
    const state = this.#state;
    const { progress, place, sink } = state;
    if (!state.dirty) return;
    if (!now && performance.now() - this.#writer.at < state.checkpointMs) return;
    const checkpoint = place === undefined ? progress.asTable : progress.checkpoint;
    try {
      if (!this.#writer.has(checkpoint)) await this.#save(checkpoint);
    } catch (error) {
      if (isTurnedAway(error)) throw error;
      state.logger.warn('relay.checkpoint.failed', { sink: sink.name, error });
      this.#writer.at = performance.now();
      return;
    }
    if (place !== undefined && checkpoint.mode === 'live') place.durable = checkpoint.position;
    // Until a snapshot is stored that sees all of it, the checkpoint can still become better.
    const joining = place !== undefined && checkpoint.mode === 'table';
    const current = state.place === place && state.progress === progress;
    if (current && !joining && !progress.unseen && same(checkpoint, progress.checkpoint)) state.dirty = false;
  }

  /** Never rejects: what cannot be stored now is stored by {@link run}, or turned away there. */
  async #saveLeft(checkpoint: Checkpoint): Promise<void> {
    const { logger, sink } = this.#state;
    try {
      // failpoint: seam.fall-out
      await this.#save(checkpoint);
    } catch (error) {
      logger.warn('relay.checkpoint.failed', { sink: sink.name, error });
    }
  }

  async #save(checkpoint: Checkpoint): Promise<void> {
    const { paused } = await this.#writer.write(checkpoint);
    this.setPaused(paused);
  }
}
