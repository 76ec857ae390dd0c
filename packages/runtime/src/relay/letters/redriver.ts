import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import { deferred } from '../../internal/deferred.ts';
import { orAborted } from '../../internal/or-aborted.ts';
import { retrying } from '../../lifecycle/retrying.ts';
import type { SinkOrders } from '../../log/checkpoint.ts';
import { entityOf } from '../../log/outbox-event.ts';
import type { Shard } from '../../log/table-page.ts';
import type { DeliveryResult } from '../../sinks/sink.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Signals, WaitingEvent } from '../feed/dispatcher.ts';
import type { Feed } from '../feed/feed.ts';
import {
  entitiesAskedFor,
  entitiesLeft,
  entitiesOfLetters,
  entitiesWithLetters,
  type Letter,
  type LettersOf,
  nextLetters,
  type Resting,
  releaseLetters,
  removeLetters,
} from './redrive-letters.ts';

/** What is handed over at a time: what the sink is fed live has it along, or waits for it. */
const handLimits = { events: 100, bytes: 1_024 * 1_024 };

/** So many entities that wait for their repetition are gone past; where there are more, it is the sink's trouble. */
const mostResting = 1_000;

/** How long a letter rests before it is tried again. Milliseconds. */
const rest = { least: 100, most: 60_000 };

/** How often it is looked whether an entity that waits may go on. Milliseconds. */
const lookMs = 1_000;

/** As many times as long as a look took it goes on without another. */
const lookShare = 10;

/** So long before a look a request may have begun that the look did not see: it was not committed. Milliseconds. */
const requestMs = 10_000;

/** A letter that the sink did not take, and is to be handed again. */
interface TurnedAway extends Resting, WaitingEvent {
  /** When it is due. */
  readonly until: number;
  /** Why, the last time. */
  readonly error: Error;
}

export interface RedriverOptions {
  readonly feed: Pick<Feed, 'sink' | 'parked' | 'handAside' | 'holdBack'>;
  readonly pool: Pool;
  /** Its name: letters of another relay's sink of the same name are not handed over here. */
  readonly relay: string;
  readonly shard: Shard | undefined;
  /** It is to be a dead letter again. */
  readonly onRejected: (letter: Letter, result: DeliveryResult & { type: 'rejected' }) => Promise<void>;
  readonly logger: Logger;
}

/**
 * Hands the sink the dead letters that operators want it to have again, beside what it is fed.
 *
 * Invariants (redriver.pg.test.ts):
 * 1. Letters of one entity are handed over in the order of `seq`, each after the one before was taken or refused.
 * 2. Once a letter is found, nothing that is fed of its entity passes it: that waits until the letter is taken, refused
 *    or discarded, also after a crash. It is found a second or two after it was asked for, however many there are.
 * 3. A letter is removed once it is delivered, never before; one that is refused is dead again, with its history.
 */
export class Redriver {
  readonly #options: RedriverOptions;
  /** What was turned away, until when. By entity; by letter where there is none. */
  readonly #resting = new Map<string, TurnedAway>();
  /** The feed has the same. */
  #heldBack = new Set<string>();
  #lookAt = Number.NEGATIVE_INFINITY;
  /** When it is looked for what was asked for since {@link #lookedAt}, though a whole look is not due. */
  #newAt = Number.NEGATIVE_INFINITY;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #releaseAt = Number.NEGATIVE_INFINITY;
  #released = false;
  /** Taken by the sink, and not removed yet. */
  readonly #taken: Letter[] = [];
  #trouble: unknown;
  readonly #begun = deferred();
  #wake = deferred();

  constructor(options: RedriverOptions) {
    this.#options = options;
  }

  get sink(): string {
    return this.#options.feed.sink.name;
  }

  /** Of the letters that the sink turned away and gets again, the one that waits longest; undefined: there is none. */
  get waiting(): (WaitingEvent & { readonly error: Error }) | undefined {
    let oldest: TurnedAway | undefined;
    for (const each of this.#resting.values()) {
      if (oldest === undefined || each.since < oldest.since) oldest = each;
    }
    return oldest;
  }

  /** Why letters could not be read or removed, while that is tried again; undefined: nothing has failed. */
  get trouble(): unknown {
    return this.#trouble;
  }

  heed(orders: SinkOrders | undefined): void {
    if (orders?.redriving === true) this.#wake.resolve();
  }

  /**
   * Resolves once the letters were looked for, or at `stopping`. The sink is not fed before: what waits behind a letter
   * since an earlier life shall wait on. Other sinks do not wait for it.
   */
  async begun({ stopping }: Pick<Signals, 'stopping'>): Promise<void> {
    await orAborted(this.#begun.promise, stopping);
  }

  /** Runs until `stopping`. @throws ER1207; other failures are waited out. */
  async run({ stopping }: Pick<Signals, 'stopping'>): Promise<void> {
    await retrying(async () => await this.#work(stopping), {
      signal: stopping,
      baseMs: 100,
      maxMs: 10_000,
      onRetry: ({ error, attempt, delayMs }) => {
        this.#trouble = error;
        this.#options.logger.warn('relay.redrive.failed', { sink: this.sink, error, attempt, delayMs });
      },
    });
  }

  async #work(stopping: AbortSignal): Promise<void> {
    await this.#look();
    this.#begun.resolve();
    await this.#releaseAll(stopping);
    this.#trouble = undefined;
    while (!stopping.aborted) {
      const waking = this.#wake.promise;
      let done = true;
      while (done && !stopping.aborted) {
        if (performance.now() >= this.#lookAt) await this.#look();
        else if (performance.now() >= this.#newAt) await this.#lookForNew();
        done = await this.#round(stopping);
      }
      await this.#rest(waking, stopping);
      this.#wake = deferred();
    }
  }

  /** Where others wait behind a letter: sets those going that have none before them any more. */
  async #release(): Promise<void> {
    const { pool, feed } = this.#options;
    if (feed.parked === undefined) return;
    const began = performance.now();
    await releaseLetters(pool, this.#of);
    this.#releaseAt = performance.now() + lookShare * (performance.now() - began);
  }

  /** Where nothing waits any more, nothing else would ever send what did. */
  async #releaseAll(stopping: AbortSignal): Promise<void> {
    const { pool, feed } = this.#options;
    if (feed.parked !== undefined) return;
    while (!this.#released && !stopping.aborted) this.#released = !(await releaseLetters(pool, this.#of));
  }

  get #of(): LettersOf {
    const { relay, shard, feed } = this.#options;
    return { relay, sink: this.sink, shard, waits: feed.parked !== undefined };
  }

  /** Which entities have letters, and what that means for what is fed. */
  async #look(): Promise<void> {
    const { pool, feed } = this.#options;
    const began = performance.now();
    let wanted: ReadonlySet<string> = new Set();
    if (feed.parked === undefined) wanted = await entitiesOfLetters(pool, this.#of);
    else {
      await feed.parked.refresh(async () => {
        await this.#release();
        const { dead, redriving } = await entitiesWithLetters(pool, this.#of);
        // What waits behind a letter that is turned away is kept as one, too: it need not be kept in memory.
        const parked = new Set([...dead, ...[...redriving].filter((entity) => this.#resting.has(entity))]);
        wanted = new Set([...redriving].filter((entity) => !parked.has(entity)));
        // Before it is parked no more.
        this.#holdBack([...this.#heldBack, ...wanted]);
        return parked;
      });
    }
    this.#holdBack(wanted);
    this.#lookedAt = began;
    this.#lookAt = nextLook(began);
    this.#newAt = performance.now() + lookMs;
  }

  /** Whoever asks for a letter while a great many others are handed over must not wait for the next whole look. */
  async #lookForNew(): Promise<void> {
    const { pool, feed } = this.#options;
    const began = performance.now();
    // What waits behind a letter is kept behind it until the next whole look.
    if (feed.parked === undefined) {
      const since = this.#lookedAt - requestMs;
      this.#holdBack([...this.#heldBack, ...(await entitiesAskedFor(pool, { ...this.#of, since }))]);
    }
    this.#lookedAt = began;
    this.#newAt = nextLook(began);
  }

  #holdBack(entities: Iterable<string>): void {
    this.#heldBack = new Set(entities);
    this.#options.feed.holdBack(this.#heldBack);
  }

  /** Hands over what is next. @returns whether there may be more now */
  async #round(stopping: AbortSignal): Promise<boolean> {
    const { pool, feed } = this.#options;
    await this.#removeTaken();
    const except = this.#stillResting();
    if (except.length > mostResting) {
      this.#forgetOthers([]);
      return false;
    }
    if (performance.now() >= this.#releaseAt) await this.#release();
    const next = { ...this.#of, except, limits: handLimits };
    let letters = await nextLetters(pool, next);
    if (letters.length === 0 && feed.parked !== undefined) {
      await this.#release();
      letters = await nextLetters(pool, next);
    }
    if (letters.length < handLimits.events) this.#forgetOthers(letters);
    if (letters.length === 0 || stopping.aborted) return false;
    // They may have been asked for a moment ago.
    for (const { logged } of letters) {
      const entity = entityOf(logged.event);
      if (entity !== undefined) this.#heldBack.add(entity);
    }
    feed.holdBack(this.#heldBack);
    try {
      const over = await this.#handOver(letters, stopping);
      // failpoint: redrive.taken
      return over;
    } finally {
      await this.#removeTaken();
      await this.#letGo(letters);
    }
  }

  /** Where that fails they are remembered: they are not to be handed over again for it. */
  async #removeTaken(): Promise<void> {
    const letters = this.#taken.length;
    if (letters === 0) return;
    await removeLetters(this.#options.pool, this.#taken);
    this.#taken.length = 0;
    this.#options.logger.info('relay.letters.redriven', { sink: this.sink, letters });
  }

  /** What waits in memory behind the last letter of its entity goes on at once, not after the letters of all others. */
  async #letGo(letters: readonly Letter[]): Promise<void> {
    const left = await entitiesLeft(this.#options.pool, { ...this.#of, letters });
    for (const { logged } of letters) {
      const entity = entityOf(logged.event);
      if (entity !== undefined && !left.has(entity)) this.#heldBack.delete(entity);
    }
    this.#options.feed.holdBack(this.#heldBack);
  }

  /** What is not due yet. */
  #stillResting(): TurnedAway[] {
    const now = performance.now();
    return [...this.#resting.values()].filter(({ until }) => until > now);
  }

  /** What is due and not found any more was discarded. */
  #forgetOthers(found: readonly Letter[]): void {
    const now = performance.now();
    const ids = new Set(found.map(({ id }) => id));
    for (const [key, { id, until }] of this.#resting) {
      if (until <= now && !ids.has(id)) this.#resting.delete(key);
    }
  }

  /**
   * Where others wait behind a letter, each of an entity only once the one before it was taken.
   *
   * @returns whether it is known what became of all
   */
  async #handOver(letters: readonly Letter[], stopping: AbortSignal): Promise<boolean> {
    const { feed } = this.#options;
    const stuck = new Set<string>();
    for (let left = letters; left.length > 0; ) {
      const { now, later } = batchOf(left, { waits: feed.parked !== undefined });
      // What is on its way is waited for.
      const results = await feed.handAside(
        now.map(({ logged }) => logged),
        stopping,
      );
      if (results === undefined) return false;
      for (const [index, letter] of now.entries()) {
        const result = results[index] as DeliveryResult;
        if (result.type === 'delivered') this.#taken.push(letter);
        else if (result.type === 'retry' || feed.parked !== undefined) stuck.add(keyOf(letter));
        await this.#settle(letter, result);
      }
      left = later.filter((letter) => !stuck.has(keyOf(letter)));
    }
    return true;
  }

  async #settle(letter: Letter, result: DeliveryResult): Promise<void> {
    const key = keyOf(letter);
    const before = this.#resting.get(key);
    if (result.type === 'retry') {
      const until = performance.now() + Math.min(rest.most, Math.max(rest.least, result.afterMs));
      const { id, logged } = letter;
      const { tenantId, entityKey, eventId } = logged.event;
      const since = before?.id === id ? before.since : new Date();
      // Of an entity the first one: those behind it are turned away for it.
      if (before === undefined || before.id === id || before.until <= performance.now()) {
        this.#resting.set(key, { id, tenantId, entityKey, eventId, since, until, error: result.error });
      }
      return;
    }
    if (before?.id === letter.id) this.#resting.delete(key);
    if (result.type === 'rejected') await this.#options.onRejected(letter, result);
  }

  /** Until it is woken, or the first that rests is due. */
  async #rest(waking: Promise<void>, stopping: AbortSignal): Promise<void> {
    const timer = new AbortController();
    // What is held back waits for a letter that may be gone before anybody says that it is to be handed over.
    const looks = this.#options.feed.parked !== undefined || this.#heldBack.size > 0;
    const look = looks ? Math.max(this.#lookAt, performance.now() + 1) : Number.POSITIVE_INFINITY;
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

/** Where a great many letters are looked through, most of the time is for handing them over. */
function nextLook(began: number): number {
  const now = performance.now();
  return now + Math.max(lookMs, lookShare * (now - began));
}

/** A letter without an entity is an entity of its own. */
function keyOf({ id, logged }: Letter): string {
  return entityOf(logged.event) ?? id;
}

/** What goes at once: of one replay, or of none; where others wait behind a letter, one of each entity. */
function batchOf(
  letters: readonly Letter[],
  { waits }: { readonly waits: boolean },
): { readonly now: Letter[]; readonly later: Letter[] } {
  const [now, later]: [Letter[], Letter[]] = [[], []];
  const seen = new Set<string>();
  const { replay } = letters[0]?.logged.event ?? {};
  for (const letter of letters) {
    const key = keyOf(letter);
    // What is behind one that stays for later stays, too: so the order of its entity is kept.
    const goes = letter.logged.event.replay === replay && !seen.has(key);
    (goes ? now : later).push(letter);
    if (waits || !goes) seen.add(key);
  }
  return { now, later };
}
