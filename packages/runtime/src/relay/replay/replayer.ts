import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import { runtimeError } from '../../errors/codes.ts';
import { deferred } from '../../internal/deferred.ts';
import { aborted, orAborted } from '../../internal/or-aborted.ts';
import { retrying } from '../../lifecycle/retrying.ts';
import type { CheckpointOwner } from '../../log/checkpoint.ts';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import type { DeliveryResult } from '../../sinks/sink.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Signals } from '../dispatcher.ts';
import type { Feed } from '../feed.ts';
import { nextReplayPart, type ReplayPart, readReplayPage, saveReplayProgress } from './replay-part.ts';

/** What is handed over at a time: what the sink is fed live waits for it. */
const handLimits = { events: 100, bytes: 1_024 * 1_024 };

/** So many times a second something is handed over, where the rate allows it. */
const handsPerSecond = 20;

/** How far behind its rate a replay may be and still make up for it. */
const debtMs = 200;

export interface ReplayerOptions {
  readonly feed: Pick<Feed, 'sink' | 'handAside'>;
  readonly pool: Pool;
  readonly owner: CheckpointOwner;
  /** Into how many parts the sink is divided. */
  readonly shards: number;
  readonly onRejected: (event: LoggedEvent, result: DeliveryResult & { type: 'rejected' }) => Promise<void>;
  readonly logger: Logger;
  /** Milliseconds between two writes of how far it has got. */
  readonly saveMs: number;
}

interface Done {
  delivered: number;
  rejected: number;
}

/**
 * Hands the sink what operators want it to have once more: one replay after another, each in the order of the log, at
 * its own rate, beside what the sink is fed.
 *
 * Invariants (replayer.pg.test.ts):
 * 1. Each event of a replay is handed over, and counted once, whatever is killed; again is handed over no more than what
 *    was not yet written down.
 * 2. Within a replay an event is handed over only after every earlier one of its entity was taken or refused.
 * 3. What is fed live waits for one small batch at most.
 */
export class Replayer {
  readonly #options: ReplayerOptions;
  #wake = deferred();

  constructor(options: ReplayerOptions) {
    this.#options = options;
  }

  get sink(): string {
    return this.#options.feed.sink.name;
  }

  /** There may be something to do. */
  wake(): void {
    this.#wake.resolve();
  }

  /** Runs until `stopping`. @throws ER1207; other failures are waited out. */
  async run({ stopping }: Pick<Signals, 'stopping'>): Promise<void> {
    const { feed, logger } = this.#options;
    await retrying(async () => await this.#work(stopping), {
      signal: stopping,
      baseMs: 100,
      maxMs: 10_000,
      onRetry: ({ error, attempt, delayMs }) => {
        logger.warn('relay.replay.failed', { sink: feed.sink.name, error, attempt, delayMs });
      },
    });
  }

  async #work(stopping: AbortSignal): Promise<void> {
    const { pool, feed, owner, shards, logger } = this.#options;
    const said = new Set<string>();
    while (!stopping.aborted) {
      const waking = this.#wake.promise;
      const part = await nextReplayPart(pool, { sink: feed.sink.name, owner });
      if (part !== undefined && part.shards === shards) {
        logger.info('relay.replay.begun', { sink: feed.sink.name, replay: part.id });
        await this.#replay(part, stopping);
        continue;
      }
      if (part !== undefined && !said.has(part.id)) {
        said.add(part.id);
        const error = runtimeError('ER6006', { detail: `Replay ${part.id}: ${part.shards}, now ${shards}.` });
        logger.error('relay.replay.failed', { sink: feed.sink.name, error, attempt: 1, delayMs: 0 });
      }
      await orAborted(waking, stopping);
      this.#wake = deferred();
    }
  }

  async #replay(part: ReplayPart, stopping: AbortSignal): Promise<void> {
    const { feed, logger, saveMs } = this.#options;
    const pace = new Pace(part.eventsPerSecond / part.shards);
    let at = part.afterSeq;
    let done: Done = { delivered: 0, rejected: 0 };
    let savedAt = performance.now();
    while (!stopping.aborted) {
      const limits = { ...handLimits, events: Math.min(handLimits.events, pace.share) };
      const page = await readReplayPage(this.#options.pool, { part, after: at, limits });
      // failpoint: replay.page
      const handed = await this.#hand(page.events, { done, pace, stopping, part, at });
      const finished = handed && page.upTo >= part.upToSeq;
      if (handed) at = page.upTo;
      const due = performance.now() - savedAt >= saveMs;
      if (!due && !finished && !stopping.aborted && handed) continue;
      const goesOn = await this.#save(part, { at, done, finished, trouble: null });
      // failpoint: replay.saved
      if (finished) logger.info('relay.replay.finished', { sink: feed.sink.name, replay: part.id });
      if (!goesOn || !handed) return;
      done = { delivered: 0, rejected: 0 };
      savedAt = performance.now();
    }
  }

  /** Until each is taken or refused. @returns false: the feed ended before; or somebody paused or ended the replay; of these events nothing is counted */
  async #hand(
    events: readonly LoggedEvent[],
    run: {
      readonly done: Done;
      readonly pace: Pace;
      readonly stopping: AbortSignal;
      readonly part: ReplayPart;
      readonly at: bigint;
    },
  ): Promise<boolean> {
    const { done, pace, stopping, part, at } = run;
    const refused: Array<readonly [LoggedEvent, DeliveryResult & { type: 'rejected' }]> = [];
    for (let left = events; left.length > 0; ) {
      await pace.wait(left.length, stopping);
      if (stopping.aborted) return false;
      const results = await orAborted(this.#options.feed.handAside(left), stopping);
      if (results === aborted || results === undefined) return false;
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
      // What is done with is written down when all of the page is: the counts stay those of `at`.
      const goesOn = await this.#save(part, { at, done, finished: false, trouble: retry.error.name });
      Object.assign(done, { delivered: 0, rejected: 0 });
      if (!goesOn) return false;
      await sleep(Math.min(retry.afterMs, 60_000), undefined, { signal: stopping }).catch(() => undefined);
    }
    for (const [logged, result] of refused) await this.#options.onRejected(logged, result);
    done.delivered += events.length - refused.length;
    done.rejected += refused.length;
    return true;
  }

  async #save(
    part: ReplayPart,
    { at, done, finished, trouble }: { at: bigint; done: Done; finished: boolean; trouble: string | null },
  ): Promise<boolean> {
    const { pool, feed, owner } = this.#options;
    const progress = { afterSeq: at, ...done, finished, trouble };
    return await saveReplayProgress(pool, { part, sink: feed.sink.name, owner, progress });
  }
}

/** Keeps to so many events a second; what was not used is made up for within a fifth of a second only. */
class Pace {
  /** How many may be handed over at a time, so that it is done evenly. At least 1. */
  readonly share: number;
  readonly #perEventMs: number;
  #next = 0;

  constructor(perSecond: number) {
    this.#perEventMs = 1_000 / perSecond;
    this.share = Math.max(1, Math.ceil(perSecond / handsPerSecond));
  }

  async wait(events: number, signal: AbortSignal): Promise<void> {
    const now = performance.now();
    const ms = this.#next - now;
    if (ms > 0) await sleep(ms, undefined, { signal }).catch(() => undefined);
    this.#next = Math.max(this.#next, now - debtMs) + events * this.#perEventMs;
  }
}
