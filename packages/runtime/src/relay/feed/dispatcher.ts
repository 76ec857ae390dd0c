import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { runtimeError } from '../../errors/codes.ts';
import { deferred } from '../../internal/deferred.ts';
import { aborted, orAborted } from '../../internal/or-aborted.ts';
import { backoffDelay } from '../../lifecycle/backoff.ts';
import { type Checkpoint, isTurnedAway } from '../../log/checkpoint.ts';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import type { DeliveryResult, Sink, SinkBatch } from '../../sinks/sink.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { RoutesTo } from '../route.ts';
import { GivenUp } from './given-up.ts';
import type { BatchLimit, Entry, InHand, TurnedAway } from './in-hand.ts';
import { allResults, routeBatch } from './routed-batch.ts';

/** What is handed over aside is not counted by attempts: it waits as long as after so many. */
const asideAttempt = 5;

export interface DispatcherOptions {
  readonly sink: Sink;
  /** Undefined: it gets everything. */
  readonly routes?: RoutesTo | undefined;
  readonly logger: Logger;
  /** Called for an event that the sink refuses for good; it counts as done once this resolves. */
  readonly onRejected: (event: LoggedEvent, result: DeliveryResult & { type: 'rejected' }) => Promise<void>;
  /** Whether the lease still holds. */
  readonly valid: () => boolean;
  /** Whether an event waits behind a dead letter of its entity, as one itself. Undefined: none does. */
  readonly waits?: ((event: LoggedEvent) => boolean) | undefined;
  readonly limit: BatchLimit;
  /** See `SinkSource`. Default: nothing that is turned away is ever given up. */
  readonly deadLetterAfterMs?: number | undefined;
}

/** An event that a sink turned away, and does again and again. */
export interface WaitingEvent {
  readonly eventId: string;
  /** When this process was turned away with it for the first time. */
  readonly since: Date;
}

export interface Signals {
  /** No new batch is begun. */
  readonly stopping: AbortSignal;
  /** The batch under way is let go. */
  readonly aborted: AbortSignal;
}

/** Events that the feed has not read and that go along with a batch, behind it. */
export interface Along {
  readonly events: readonly LoggedEvent[];
  /** Told what became of them: one result for each. Not called where that is not known. */
  readonly settle: (results: readonly DeliveryResult[]) => void;
}

/** Hands one sink its batches, one at a time, until each event is delivered or kept as a dead letter. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  #wake = deferred();
  #trouble: unknown;
  /** After the last batch, the oldest event that was turned away and waits. */
  #turnedAway: TurnedAway | undefined;
  readonly #givenUp: GivenUp | undefined;

  constructor(options: DispatcherOptions) {
    const { deadLetterAfterMs } = options;
    this.#options = options;
    this.#givenUp = deadLetterAfterMs === undefined ? undefined : new GivenUp(deadLetterAfterMs);
  }

  get sink(): Sink {
    return this.#options.sink;
  }

  /**
   * Why the batch in hand is not taken, while that is tried again, or why an event was turned away that waits;
   * undefined: nothing has failed.
   */
  get trouble(): unknown {
    return this.#trouble ?? this.#turnedAway?.error;
  }

  /** The oldest event that was turned away and waits; undefined: there is none. */
  get waiting(): WaitingEvent | undefined {
    if (this.#turnedAway === undefined) return undefined;
    const { entry, since } = this.#turnedAway;
    return { eventId: entry.logged.event.eventId, since: new Date(performance.timeOrigin + since) };
  }

  /** Ends a wait: something has arrived, or has changed. */
  wake(): void {
    this.#wake.resolve();
  }

  /**
   * Hands over the next batch, if there is one now.
   *
   * @param call.checkpointAt what is true when so many of the events that were offered are delivered
   * @param call.along handed over with the batch if there is one, once: what the feed has read is not held up by it
   * @returns `none`: there is none now; `given-up`: stopped, or interrupted by {@link wake} after a failure, before
   *   the sink said what became of the batch: what is in hand must then be read again
   * @throws ER1207 the lease is lost, by our clock or as a sink says that stores its own checkpoint
   */
  async step(
    inHand: InHand,
    call: {
      readonly checkpointAt: (passed: number) => Checkpoint;
      readonly interrupted: () => boolean;
      readonly along?: Along | undefined;
    } & Signals,
  ): Promise<'done' | 'none' | 'given-up'> {
    if (call.stopping.aborted) return 'given-up';
    let { along } = call;
    const batch = inHand.next(performance.now(), besides(this.#options.limit, along?.events ?? []));
    if (batch.length === 0) return 'none';
    const logged = batch.map((entry) => entry.logged);
    const routed = routeBatch(logged, this.#options.routes, this.#options.waits);
    // What a route's function failed for is not true of the checkpoint, which a sink may store with its work.
    const open = new Set(
      batch.filter((_, index) => (routed.decided[index]?.type ?? 'delivered') !== 'delivered'),
    );
    const checkpoint = call.checkpointAt(inHand.passedAfter(batch, open));
    const given = await this.#insist(call, async () => {
      const once = along;
      along = undefined;
      return await this.#handOverWith(once, { events: routed.handed, checkpoint }, call);
    });
    if (given === undefined) return 'given-up';
    const said = allResults(logged, routed, given);
    const now = performance.now();
    const results = this.#givenUp?.results({ batch, results: said, given, inHand, now }) ?? said;
    if (!(await this.#keepRejected(batch, results, call))) return 'given-up';
    // failpoint: relay.delivered
    const delayMs = inHand.settle(batch, results, performance.now());
    this.#sayRetries(logged, results, delayMs);
    this.#turnedAway = inHand.oldestTurnedAway;
    // A sink that answers without any I/O would otherwise keep timers, sockets and signals from their turn.
    await nextTurn();
    return 'done';
  }

  /**
   * Hands over events that the feed has not read, by themselves: once, as routes say. A sink that says nothing of them
   * has not taken them.
   *
   * @returns one result for each; of those that were refused nothing is kept
   * @throws ER1207, ER1210
   */
  async aside(
    events: readonly LoggedEvent[],
    call: { readonly checkpoint: Checkpoint } & Signals,
  ): Promise<readonly DeliveryResult[]> {
    const given = deferred<readonly DeliveryResult[]>();
    const along: Along = { events, settle: (results) => given.resolve(results) };
    try {
      await this.#handOverWith(along, { events: [], checkpoint: call.checkpoint }, call);
    } catch (error) {
      if (isTurnedAway(error)) throw error;
    }
    return await given.promise;
  }

  /** Waits for {@link wake}, for a repetition that is due, or for so many milliseconds. */
  async wait(
    inHand: InHand,
    options: { readonly ms?: number; readonly stopping: AbortSignal },
  ): Promise<void> {
    const next = inHand.nextRetryAt;
    const waits = [options.ms, next === undefined ? undefined : Math.max(1, next - performance.now())];
    // A longer timer would end at once.
    const ms = Math.min(2 ** 31 - 1, ...waits.filter((each) => each !== undefined));
    const over = deferred();
    // Cleared, not aborted: at a thousand waits a second the errors that nobody sees would be a twentieth of the work.
    const timer = Number.isFinite(ms) ? setTimeout(() => over.resolve(), ms) : undefined;
    await orAborted(Promise.race([this.#wake.promise, over.promise]), options.stopping);
    clearTimeout(timer);
    this.#wake = deferred();
  }

  /** @returns the results of the batch alone */
  async #handOverWith(
    along: Along | undefined,
    batch: SinkBatch,
    call: Signals,
  ): Promise<readonly DeliveryResult[]> {
    if (along === undefined) return await this.#handOver(batch, call);
    const { events, settle } = along;
    const own = batch.events.length;
    try {
      const routed = routeBatch(events, this.#options.routes);
      const given = await this.#handOver({ ...batch, events: [...batch.events, ...routed.handed] }, call);
      const results = allResults(events, routed, given.slice(own));
      this.#sayRetries(events, results);
      settle(results);
      return given.slice(0, own);
    } catch (error) {
      if (isTurnedAway(error)) throw error;
      const afterMs = backoffDelay(asideAttempt);
      const { sink, logger } = this.#options;
      logger.warn('relay.sink.retry', { sink: sink.name, error, delayMs: afterMs, events: events.length });
      const reason = error instanceof Error ? error : new Error(String(error));
      settle(events.map(() => ({ type: 'retry', afterMs, error: reason })));
      throw error;
    }
  }

  async #handOver(batch: SinkBatch, call: Signals): Promise<readonly DeliveryResult[]> {
    const { sink, valid } = this.#options;
    if (batch.events.length === 0 && !sink.features.ownCheckpoint) return [];
    if (!valid()) throw runtimeError('ER1207', { detail: `Sink ${sink.name}.` });
    // Whoever heeds no signal must not keep the others from their next session.
    const given = await orAborted(sink.deliver(batch, { signal: call.aborted, valid }), call.aborted);
    if (given === aborted) throw call.aborted.reason as Error;
    if (given.length === batch.events.length) return given;
    throw new TypeError(`sink ${sink.name} gave ${given.length} results for ${batch.events.length} events`);
  }

  /** By itself, not with the batch: the others must not be handed over again for it. */
  async #keepRejected(
    batch: readonly Entry[],
    results: readonly DeliveryResult[],
    call: Signals & { readonly interrupted: () => boolean },
  ): Promise<boolean> {
    for (const [index, entry] of batch.entries()) {
      const result = results[index] as DeliveryResult;
      if (result.type !== 'rejected') continue;
      const kept = await this.#insist(call, async () => {
        await this.#options.onRejected(entry.logged, result);
        return true;
      });
      if (kept !== true) return false;
    }
    return true;
  }

  /** Tries again until it succeeds; undefined when it was stopped or interrupted first. */
  async #insist<T>(
    call: Signals & { readonly interrupted: () => boolean },
    work: () => Promise<T>,
  ): Promise<T | undefined> {
    try {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await work();
        } catch (error) {
          if (call.stopping.aborted || call.interrupted()) return undefined;
          if (isTurnedAway(error)) throw error;
          this.#trouble = error;
          const delayMs = backoffDelay(attempt);
          const { sink, logger } = this.#options;
          logger.warn('relay.sink.retry', { sink: sink.name, error, attempt, delayMs });
          await this.#pause(delayMs, call);
          if (call.stopping.aborted || call.interrupted()) return undefined;
        }
      }
    } finally {
      this.#trouble = undefined;
    }
  }

  async #pause(ms: number, call: Signals & { readonly interrupted: () => boolean }): Promise<void> {
    const timer = new AbortController();
    const until = sleep(ms, 'over' as const, { signal: timer.signal }).catch(() => 'over' as const);
    // Arrivals wake it as well: they are no reason to try sooner.
    while (!call.interrupted()) {
      const woken = this.#wake.promise.then(() => 'woken' as const);
      const outcome = await orAborted(Promise.race([until, woken]), call.stopping);
      if (outcome !== 'woken') break;
      this.#wake = deferred();
    }
    timer.abort();
  }

  /** One line for a batch, however many of it are turned away. @param delayMs default: as the sink says */
  #sayRetries(batch: readonly LoggedEvent[], results: readonly DeliveryResult[], delayMs?: number): void {
    const { sink, logger } = this.#options;
    const first = results.findIndex(({ type }) => type === 'retry');
    const result = results[first];
    if (result?.type !== 'retry') return;
    logger.warn('relay.sink.retry', {
      sink: sink.name,
      eventId: batch[first]?.event.eventId,
      error: result.error,
      delayMs: delayMs ?? result.afterMs,
      events: results.filter(({ type }) => type === 'retry').length,
    });
  }
}

/** What is left of a batch's limit beside these events; room for one is always. */
function besides(limit: BatchLimit, events: readonly LoggedEvent[]): BatchLimit {
  if (events.length === 0) return limit;
  const bytes = events.reduce((sum, { event }) => sum + event.payload.length, 0);
  return {
    ...limit,
    events: Math.max(1, limit.events - events.length),
    bytes: Math.max(1, limit.bytes - bytes),
  };
}
