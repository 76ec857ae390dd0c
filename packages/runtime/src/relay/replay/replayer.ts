import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import { deferred } from '../../internal/deferred.ts';
import { orAborted } from '../../internal/or-aborted.ts';
import { retrying } from '../../lifecycle/retrying.ts';
import type { CheckpointOwner, SinkOrders } from '../../log/checkpoint.ts';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import { oldestUnread } from '../../log/unread.ts';
import type { DeliveryResult } from '../../sinks/sink.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Signals } from '../feed/dispatcher.ts';
import type { Feed } from '../feed/feed.ts';
import { ReplayBook } from './replay-book.ts';
import {
  markMisfits,
  nextReplayPart,
  type ReplayPage,
  type ReplayPart,
  readReplayPage,
} from './replay-part.ts';
import { sinkIsBehind } from './replay-waits.ts';

/** What is handed over at a time: what the sink is fed live has it along, or waits for it. */
const handLimits = { events: 100, bytes: 1_024 * 1_024 };

/**
 * So many times a second something is handed over, where the rate allows it. Along with what is fed live a hand costs no
 * trip of its own, and the fewer are in it, the less is what goes with them slowed down.
 */
const handsPerSecond = { along: 80, apart: 20 };

/** So many hands are read at a time: a look at the table has its price, too. */
const handsPerPage = 4;

/** How long what was turned away rests. Milliseconds. */
const rest = { least: 100, most: 60_000 };

/** How far behind its rate a replay may be and still make up for it. */
const debtMs = 200;

export interface ReplayerOptions {
  readonly feed: Pick<Feed, 'sink' | 'handAside' | 'checkpoint'>;
  readonly pool: Pool;
  readonly owner: CheckpointOwner;
  /** Into how many parts the sink is divided. */
  readonly shards: number;
  readonly onRejected: (event: LoggedEvent, result: DeliveryResult & { type: 'rejected' }) => Promise<void>;
  readonly logger: Logger;
  /** Milliseconds between two writes of how far it has got. */
  readonly saveMs: number;
}

/**
 * Hands the sink what operators want it to have once more: one replay after another, each in the order of the log, at
 * its own rate, beside what the sink is fed.
 *
 * Invariants (replayer.pg.test.ts):
 * 1. Each event of a replay is handed over, and counted once, whatever is killed; again is handed over no more than what
 *    was not yet written down.
 * 2. Within a replay an event is handed over only after every earlier one of its entity was taken or refused.
 * 3. What is fed live has a few events along with it at most, or waits for one small batch.
 */
export class Replayer {
  readonly #options: ReplayerOptions;
  #wake = deferred();
  /** What is being replayed, and how it is let go. */
  #current: { readonly id: string; readonly over: AbortController } | undefined;

  constructor(options: ReplayerOptions) {
    this.#options = options;
  }

  get sink(): string {
    return this.#options.feed.sink.name;
  }

  heed(orders: SinkOrders | undefined): void {
    const running = orders?.replays ?? [];
    if (this.#current !== undefined && !running.includes(this.#current.id)) this.#current.over.abort();
    if (running.length > 0) this.#wake.resolve();
  }

  /** Runs until `stopping`. @throws ER1207; other failures are waited out. */
  async run({ stopping }: Pick<Signals, 'stopping'>): Promise<void> {
    const { logger } = this.#options;
    await retrying(async () => await this.#work(stopping), {
      signal: stopping,
      baseMs: 100,
      maxMs: 10_000,
      onRetry: ({ error, attempt, delayMs }) => {
        logger.warn('relay.replay.failed', { sink: this.sink, error, attempt, delayMs });
      },
    });
  }

  async #work(stopping: AbortSignal): Promise<void> {
    const { pool, owner, shards } = this.#options;
    const feeder = { sink: this.sink, owner, shards };
    while (!stopping.aborted) {
      const waking = this.#wake.promise;
      const part = await nextReplayPart(pool, feeder);
      if (part === undefined) await markMisfits(pool, feeder);
      else if (await this.#replayPart(part, stopping)) continue;
      await orAborted(waking, stopping);
      this.#wake = deferred();
    }
  }

  /** @returns whether it went on to its end, or somebody paused or ended it: another may be next */
  async #replayPart(part: ReplayPart, stopping: AbortSignal): Promise<boolean> {
    const { pool, owner, saveMs, logger } = this.#options;
    const over = new AbortController();
    this.#current = { id: part.id, over };
    const signal = AbortSignal.any([stopping, over.signal]);
    const book = new ReplayBook(part, { pool, sink: this.sink, owner, saveMs });
    try {
      if (!(await this.#turn(book, signal))) return over.signal.aborted;
      logger.info('relay.replay.begun', { sink: this.sink, replay: part.id });
      await this.#replay(book, signal);
      if (book.finished) logger.info('relay.replay.finished', { sink: this.sink, replay: part.id });
      return true;
    } finally {
      this.#current = undefined;
    }
  }

  /**
   * Waits until the sink has had, in their own turn, all events that are as old as those of the replay: handed over
   * aside before, they would be there too early.
   *
   * @returns false: the signal came first, or it is to go on no more
   */
  async #turn(book: ReplayBook, signal: AbortSignal): Promise<boolean> {
    const { pool, feed, saveMs } = this.#options;
    const { part } = book;
    const shard = part.shards === 1 ? undefined : { index: part.shard, count: part.shards };
    for (let told = false; !signal.aborted; told = true) {
      const oldest = await oldestUnread(pool, { state: feed.checkpoint, shard });
      if (oldest === undefined || oldest.seq > part.upToSeq) return true;
      if (!told && !(await book.note(sinkIsBehind))) return false;
      await sleep(saveMs, undefined, { signal }).catch(() => undefined);
    }
    return false;
  }

  async #replay(book: ReplayBook, signal: AbortSignal): Promise<void> {
    const { pool } = this.#options;
    const { part } = book;
    const { ownCheckpoint } = this.#options.feed.sink.features;
    const pace = new Pace(part.eventsPerSecond / part.shards);
    const share = pace.share(ownCheckpoint ? handsPerSecond.apart : handsPerSecond.along);
    const size = Math.min(handLimits.events, share);
    const limits = { ...handLimits, events: size * (ownCheckpoint ? 1 : handsPerPage) };
    for (let goesOn = true; goesOn; ) {
      const page = await readReplayPage(pool, { part, after: book.at, limits });
      for (const { events, upTo } of handsOf(page, size)) {
        const handed = await this.#hand(events, { book, pace, signal });
        if (handed !== undefined) book.pass(upTo, handed);
        if (handed !== undefined && !book.due && !book.finished && !signal.aborted) continue;
        // failpoint: replay.handed
        goesOn = (await book.save()) && handed !== undefined && !signal.aborted;
        if (!goesOn) break;
      }
    }
  }

  /** Until each is taken or refused. @returns undefined: it is to go on no more, and of these events nothing is counted */
  async #hand(
    events: readonly LoggedEvent[],
    { book, pace, signal }: { readonly book: ReplayBook; readonly pace: Pace; readonly signal: AbortSignal },
  ): Promise<{ readonly delivered: number; readonly rejected: number } | undefined> {
    const refused: Array<readonly [LoggedEvent, DeliveryResult & { type: 'rejected' }]> = [];
    for (let left = events; left.length > 0; ) {
      await pace.wait(left.length, signal);
      // What is on its way is waited for.
      const results = await this.#options.feed.handAside(left, signal);
      if (results === undefined) return undefined;
      const again: LoggedEvent[] = [];
      let retry: (DeliveryResult & { type: 'retry' }) | undefined;
      for (const [index, logged] of left.entries()) {
        const result = results[index] as DeliveryResult;
        if (result.type === 'rejected') refused.push([logged, result]);
        if (result.type !== 'retry') continue;
        retry ??= result;
        again.push(logged);
      }
      left = again;
      if (retry === undefined) continue;
      if (!(await book.note(retry.error.name))) return undefined;
      const ms = Math.min(rest.most, Math.max(rest.least, retry.afterMs));
      await sleep(ms, undefined, { signal }).catch(() => undefined);
    }
    for (const [logged, result] of refused) await this.#options.onRejected(logged, result);
    return { delivered: events.length - refused.length, rejected: refused.length };
  }
}

/** A page in hands of so many events, one at least: also where there are none, it is known up to where. */
function* handsOf({ events, upTo }: ReplayPage, size: number): Generator<ReplayPage> {
  let from = 0;
  for (; from + size < events.length; from += size) {
    const hand = events.slice(from, from + size);
    yield { events: hand, upTo: hand.at(-1)?.event.seq ?? upTo };
  }
  yield { events: events.slice(from), upTo };
}

/** Keeps to so many events a second; what was not used is made up for within a fifth of a second only. */
class Pace {
  readonly #perSecond: number;
  readonly #perEventMs: number;
  #next = 0;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
    this.#perEventMs = 1_000 / perSecond;
  }

  /** How many may be handed over at a time, so that it is done evenly. At least 1. */
  share(hands: number): number {
    return Math.max(1, Math.ceil(this.#perSecond / hands));
  }

  async wait(events: number, signal: AbortSignal): Promise<void> {
    const now = performance.now();
    const ms = this.#next - now;
    if (ms > 0) await sleep(ms, undefined, { signal }).catch(() => undefined);
    this.#next = Math.max(this.#next, now - debtMs) + events * this.#perEventMs;
  }
}
