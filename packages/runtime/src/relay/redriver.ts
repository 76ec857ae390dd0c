import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import { deferred } from '../internal/deferred.ts';
import { orAborted } from '../internal/or-aborted.ts';
import { retrying } from '../lifecycle/retrying.ts';
import type { SinkOrders } from '../log/checkpoint.ts';
import { entityOf, type LoggedEvent } from '../log/outbox-event.ts';
import type { Shard } from '../log/table-page.ts';
import type { DeliveryResult } from '../sinks/sink.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Signals } from './dispatcher.ts';
import type { Feed } from './feed.ts';
import {
  entitiesOfLetters,
  entitiesWithLetters,
  type Letter,
  type LettersOf,
  nextLetters,
  type Resting,
  releaseLetters,
  removeLetters,
} from './redrive-letters.ts';

/** What is handed over at a time: what the sink is fed live waits for it. */
const handLimits = { events: 100, bytes: 1_024 * 1_024 };

/** So many entities that wait for their repetition are gone past; where there are more, it is the sink's trouble. */
const mostResting = 1_000;

/** How long a letter rests before it is tried again. Milliseconds. */
const rest = { least: 100, most: 60_000 };

/** How often it is looked whether an entity that waits may go on. Milliseconds. */
const lookMs = 1_000;

export interface RedriverOptions {
  readonly feed: Pick<Feed, 'sink' | 'parked' | 'handAside' | 'holdBack'>;
  readonly pool: Pool;
  readonly shard: Shard | undefined;
  /** Keeps it as a dead letter, which it was. */
  readonly onRejected: (event: LoggedEvent, result: DeliveryResult & { type: 'rejected' }) => Promise<void>;
  readonly logger: Logger;
}

/**
 * Hands the sink the dead letters that operators want it to have again, beside what it is fed.
 *
 * Invariants (redriver.pg.test.ts):
 * 1. Letters of one entity are handed over in the order of `seq`, each after the one before was taken or refused.
 * 2. Once a letter is found, nothing that is fed of its entity passes it: that waits until the letter is taken, refused
 *    or discarded, also after a crash.
 * 3. A letter is removed once it is delivered, never before; one that is refused is dead again, with its history.
 */
export class Redriver {
  readonly #options: RedriverOptions;
  /** What was turned away, until when. By entity; by letter where there is none. */
  readonly #resting = new Map<string, Resting & { readonly until: number }>();
  #heldBack: ReadonlySet<string> = new Set();
  #wake = deferred();

  constructor(options: RedriverOptions) {
    this.#options = options;
  }

  get sink(): string {
    return this.#options.feed.sink.name;
  }

  heed(orders: SinkOrders | undefined): void {
    if (orders?.redriving === true) this.#wake.resolve();
  }

  /** Before the sink is fed: what waits behind a letter since an earlier life shall wait on. */
  async begin(): Promise<void> {
    // Where nothing waits any more, nothing else would ever send what did.
    if (this.#options.feed.parked === undefined) await releaseLetters(this.#options.pool, this.#of);
    await this.#holdBack();
  }

  /** Runs until `stopping`. @throws ER1207; other failures are waited out. */
  async run({ stopping }: Pick<Signals, 'stopping'>): Promise<void> {
    await retrying(async () => await this.#work(stopping), {
      signal: stopping,
      baseMs: 100,
      maxMs: 10_000,
      onRetry: ({ error, attempt, delayMs }) => {
        this.#options.logger.warn('relay.redrive.failed', { sink: this.sink, error, attempt, delayMs });
      },
    });
  }

  async #work(stopping: AbortSignal): Promise<void> {
    while (!stopping.aborted) {
      const waking = this.#wake.promise;
      await this.#holdBack();
      let outcome: 'done' | 'none' | 'ended' = 'done';
      while (outcome === 'done' && !stopping.aborted) outcome = await this.#round(stopping);
      // What was delivered holds nothing back any more.
      if (this.#heldBack.size > 0) await this.#holdBack();
      if (outcome === 'ended') return;
      await this.#rest(waking, stopping);
      this.#wake = deferred();
    }
  }

  get #of(): LettersOf {
    const { shard, feed } = this.#options;
    return { sink: this.sink, shard, waits: feed.parked !== undefined };
  }

  async #holdBack(): Promise<void> {
    const { pool, feed } = this.#options;
    if (feed.parked !== undefined) await releaseLetters(pool, this.#of);
    const parked = await feed.parked?.refresh(async () => await entitiesWithLetters(pool, this.#of));
    // What waits behind a dead letter is kept as one: it need not be kept in memory.
    const entities = await entitiesOfLetters(pool, this.#of);
    this.#heldBack = new Set([...entities].filter((entity) => parked?.has(entity) !== true));
    feed.holdBack(this.#heldBack);
  }

  /** Hands over what is next; `ended`: the feed has. */
  async #round(stopping: AbortSignal): Promise<'done' | 'none' | 'ended'> {
    const { pool, feed, logger } = this.#options;
    const now = performance.now();
    for (const [key, { until }] of this.#resting) if (until <= now) this.#resting.delete(key);
    if (this.#resting.size > mostResting) return 'none';
    const except = [...this.#resting.values()];
    const letters = await nextLetters(pool, { ...this.#of, except, limits: handLimits });
    if (letters.length === 0 || stopping.aborted) return 'none';
    // They may have been asked for a moment ago.
    const entities = letters.flatMap(({ logged }) => entityOf(logged.event) ?? []);
    feed.holdBack((this.#heldBack = new Set([...this.#heldBack, ...entities])));
    // What is on its way is waited for.
    const results = await feed.handAside(
      letters.map(({ logged }) => logged),
      stopping,
    );
    if (results === undefined) return 'ended';
    const delivered = await this.#settle(letters, results);
    if (delivered > 0) logger.info('relay.letters.redriven', { sink: this.sink, letters: delivered });
    return 'done';
  }

  async #settle(letters: readonly Letter[], results: readonly DeliveryResult[]): Promise<number> {
    const { pool, onRejected } = this.#options;
    const delivered: string[] = [];
    for (const [index, { id, logged }] of letters.entries()) {
      const result = results[index] as DeliveryResult;
      if (result.type === 'delivered') delivered.push(id);
      else if (result.type === 'rejected') await onRejected(logged, result);
      else this.#letRest({ id, logged }, result.afterMs);
    }
    await removeLetters(pool, delivered);
    return delivered.length;
  }

  #letRest({ id, logged: { event } }: Letter, afterMs: number): void {
    const until = performance.now() + Math.min(rest.most, Math.max(rest.least, afterMs));
    const { tenantId, entityKey } = event;
    this.#resting.set(entityOf(event) ?? id, { id, tenantId, entityKey, until });
  }

  /** Until it is woken, or the first that rests is due. */
  async #rest(waking: Promise<void>, stopping: AbortSignal): Promise<void> {
    const timer = new AbortController();
    const { parked } = this.#options.feed;
    const look = parked === undefined ? Number.POSITIVE_INFINITY : performance.now() + lookMs;
    const due = Math.min(look, ...[...this.#resting.values()].map(({ until }) => until));
    const woken = [waking];
    if (Number.isFinite(due)) {
      const ms = Math.max(1, due - performance.now());
      woken.push(sleep(ms, undefined, { signal: timer.signal }).catch(() => undefined));
    }
    await orAborted(Promise.race(woken), stopping);
    timer.abort();
  }
}
