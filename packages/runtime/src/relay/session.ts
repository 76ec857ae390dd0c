import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import { runtimeError } from '../errors/codes.ts';
import { aborted, orAborted } from '../internal/or-aborted.ts';
import { type CheckpointOwner, type SinkOrders, sinkOrders } from '../log/checkpoint.ts';
import type { Snapshot } from '../log/snapshot.ts';
import { tick } from '../log/tick.ts';
import { checkTimeline } from '../log/timeline.ts';
import type { WalReader } from '../log/wal-reader.ts';
import type { Lsn } from '../replication/lsn.ts';
import type { Signals } from './feed/dispatcher.ts';
import type { Feed } from './feed/feed.ts';
import type { Window } from './feed/window.ts';

/** WAL without events after which checkpoints are moved on. Bytes. */
const idleBytes = 1_024n * 1_024n;

/**
 * So many ticks later they are moved on once more, over the rest: the server lets go of the WAL of a burst only when
 * something behind it is confirmed, which it writes down within 15 s.
 */
const restTicks = 30;

/** The WAL, opened. */
export interface OpenedLog {
  readonly reader: WalReader;
  /** Sees all that the slot does not send because it was there before, or is forgotten. */
  readonly barrier: Snapshot;
}

/** Hands a sink something beside what it is fed, while operators want it. */
export interface Beside {
  readonly sink: string;
  /** What operators want of the sink now; undefined: nothing is known of it. */
  heed(orders: SinkOrders | undefined): void;
  run(signals: Signals): Promise<void>;
  /** The sink is fed once this resolves; at `stopping` it does. Default: at once. */
  begun?(signals: Signals): Promise<void>;
}

export interface SessionOptions {
  readonly owner: CheckpointOwner;
  readonly feeds: readonly Feed[];
  /** What hands the sinks something beside what they are fed. */
  readonly besides: readonly Beside[];
  readonly window: Window;
  /** Direct connections with `synchronous_commit = local`. */
  readonly pool: Pool;
  /** The WAL, when it could be opened at once. The session ends it. */
  readonly opened: OpenedLog | undefined;
  /** Opens the WAL, however long that takes; undefined: there is none to be read, the table is polled. */
  readonly open: ((signal: AbortSignal) => Promise<OpenedLog>) | undefined;
  /** Asked after each tick, before its snapshot is used: throws if the WAL may not have all that the snapshot sees. */
  readonly verify: () => Promise<void>;
  /** Milliseconds between two ticks, while anything happens. */
  readonly tickMs: number;
  /** Milliseconds that a sink may be behind in the window, however little it holds there. */
  readonly behindMs: number;
}

/**
 * One lease's work: feeds the sinks, reads the WAL into their window, ticks, and tells the server what it may forget.
 * What is in memory dies with it; the next one begins at the checkpoints.
 *
 * Invariants (session.pg.test.ts, idle.pg.test.ts):
 * 1. Reading waits for no sink but the fastest.
 * 2. While nothing happens nothing is written.
 * 3. The server is told to forget a transaction as {@link Window} says, never earlier.
 */
export class Session {
  readonly #options: SessionOptions;
  #log: OpenedLog | undefined;
  /** How many events had been seen at the last tick. */
  #ticked = 0;
  /**
   * Ticks since the checkpoints were moved over WAL without events; undefined: they were moved over the rest, too. What
   * was written before is such a rest: nobody knows of how much.
   */
  #sinceIdle: number | undefined = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#log = options.opened;
  }

  /** Runs until `stopping`. Rejects when the database, the slot or the lease is lost. */
  async run(signals: Signals): Promise<void> {
    const failed = new AbortController();
    const inner: Signals = {
      stopping: AbortSignal.any([signals.stopping, failed.signal]),
      // What is delivered after the session broke is not stored any more: a sink need not finish it.
      aborted: AbortSignal.any([signals.aborted, failed.signal]),
    };
    const guard = async (work: Promise<void>): Promise<void> => {
      try {
        await work;
      } catch (error) {
        failed.abort(error);
        throw error;
      }
    };
    const outcomes = await Promise.allSettled([
      guard(this.#read(inner.stopping)),
      guard(this.#keepTime(inner.stopping)),
      ...this.#options.feeds.map(async (feed) => await guard(this.#feed(feed, inner))),
      ...this.#options.besides.map(async (beside) => await guard(beside.run(inner))),
    ]);
    try {
      // Without the lease, or on a connection that is gone, it would be another's tick.
      const over = failed.signal.aborted || signals.aborted.aborted;
      if (!over && this.#options.window.unsettled) await this.#tick();
    } finally {
      await this.#log?.reader[Symbol.asyncDispose]();
    }
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  /** What is beside a sink says when that may be fed. Until then it holds nothing up: see {@link #sendOff}. */
  async #feed(feed: Feed, signals: Signals): Promise<void> {
    const besides = this.#options.besides.filter(({ sink }) => sink === feed.sink.name);
    await Promise.all(besides.map(async (beside) => await beside.begun?.(signals)));
    await feed.run(signals);
  }

  async #read(stopping: AbortSignal): Promise<void> {
    const { window, open, feeds } = this.#options;
    if (this.#log === undefined && open === undefined) return;
    try {
      this.#log ??= await open?.(stopping);
    } catch (error) {
      if (!stopping.aborted) throw error;
    }
    if (this.#log === undefined) return;
    const { reader, barrier } = this.#log;
    this.#limit(reader);
    window.start(barrier);
    const batches = reader[Symbol.asyncIterator]();
    while (!stopping.aborted) {
      const next = await orAborted(batches.next(), stopping);
      if (next === aborted) return;
      if (next.done === true) throw runtimeError('ER3004');
      for (const ticket of window.push(next.value, reader.readTo)) reader.settle(ticket);
      for (const feed of feeds) if (feed.place !== undefined) feed.wake();
      await this.#makeRoom(stopping);
    }
  }

  async #makeRoom(stopping: AbortSignal): Promise<void> {
    const { window, feeds } = this.#options;
    while (!stopping.aborted) {
      const slow = window.trim();
      for (const feed of feeds) {
        if (feed.place !== undefined && slow.includes(feed.place)) feed.leave('slow');
      }
      // They have left room.
      if (slow.length > 0) continue;
      if (!window.full) return;
      await orAborted(window.change, stopping);
    }
  }

  async #keepTime(stopping: AbortSignal): Promise<void> {
    const { owner, pool, tickMs } = this.#options;
    while (!stopping.aborted) {
      await sleep(tickMs, undefined, { signal: stopping }).catch(() => undefined);
      if (stopping.aborted) return;
      await checkTimeline(pool, owner);
      if (this.#moved()) await this.#tick();
      await this.#heed();
      this.#sendOff();
      this.#keepUp();
    }
  }

  async #heed(): Promise<void> {
    const { owner, pool, feeds, besides } = this.#options;
    const orders = await sinkOrders(pool, owner);
    for (const feed of feeds) {
      const wanted = orders.get(feed.sink.name);
      feed.setPaused(wanted?.paused === true);
      if (wanted?.rewinding === true) feed.rewind();
    }
    for (const beside of besides) beside.heed(orders.get(beside.sink));
  }

  /**
   * The server is never told to forget more than what is stored: so a slot that is further than a checkpoint is not the
   * one that it was written for. WAL without events moves the checkpoints too, but not byte by byte, for each of these
   * writes is WAL.
   */
  #keepUp(): void {
    const { window, feeds } = this.#options;
    if (this.#log === undefined) return;
    const limit = this.#limit(this.#log.reader);
    if (window.unsettled) return;
    if (window.readTo - limit >= idleBytes) this.#sinceIdle = 0;
    else if (this.#sinceIdle === undefined || (this.#sinceIdle += 1) < restTicks) return;
    else this.#sinceIdle = undefined;
    for (const feed of feeds) feed.touch();
  }

  #limit(reader: WalReader): Lsn {
    const { window, feeds } = this.#options;
    let limit = window.readTo;
    for (const { place } of feeds)
      if (place !== undefined && place.durable.lsn < limit) limit = place.durable.lsn;
    reader.limitKeepalives(limit);
    return limit;
  }

  /** Whether anything happened that a later snapshot would see. */
  #moved(): boolean {
    return this.#options.window.unsettled || this.#seen() !== this.#ticked;
  }

  #seen(): number {
    const { window, feeds } = this.#options;
    return feeds.reduce((sum, feed) => sum + feed.delivered, window.end);
  }

  async #tick(): Promise<void> {
    const { pool, feeds, window } = this.#options;
    const seen = this.#seen();
    const { snapshot, lsn } = await tick(pool);
    await this.#options.verify();
    // failpoint: relay.tick
    this.#ticked = seen;
    for (const feed of feeds) feed.offer({ snapshot, lsn });
    for (const ticket of window.settle(snapshot)) this.#log?.reader.settle(ticket);
    // failpoint: relay.settled
  }

  /** A sink that is behind holds back the WAL, with little as with much: it goes on from the table. */
  #sendOff(): void {
    const { window, feeds, behindMs } = this.#options;
    const now = performance.timeOrigin + performance.now();
    for (const feed of feeds) {
      const oldest = feed.place === undefined ? undefined : window.oldestOf(feed.place);
      if (oldest !== undefined && now - oldest > behindMs) feed.leave('behind');
    }
  }
}
