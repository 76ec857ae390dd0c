import { deferred } from '../../internal/deferred.ts';
import { orAborted } from '../../internal/or-aborted.ts';
import type { Care } from './doubts.ts';
import type { Ack, Answer, Outgoing, Publisher } from './publisher.ts';

/** A message and what its order is kept by. */
export interface Ordered extends Outgoing {
  /** Undefined: no order is asked for. */
  readonly entity: string | undefined;
  /** Default `free`. */
  readonly care?: Care;
  /** Of those that go `alone`, what has more goes later. Default 0. */
  readonly endings?: number;
}

/** What became of one message. */
export type Outcome =
  | Answer
  /** It was not sent, because of an earlier one of its entity, or because there was no time left. */
  | { readonly type: 'unsent' };

export interface InOrderOptions {
  readonly publisher: Publisher;
  /** Whether the stream takes atomic batches, and so many messages in one; 0: it does not. */
  readonly atomicLimit: number;
  /**
   * From so many messages on all of them go in atomic batches, whoever they are of: one answer for many takes less time than
   * one for each. Default 500.
   */
  readonly atomicFrom?: number;
  readonly signal: AbortSignal;
  /** Asked right before each message: false, and nothing more is sent. */
  readonly valid: () => boolean;
  /** Whether later messages of the entity may go although this one was refused. */
  readonly isPoison: (ack: Ack) => boolean;
}

/**
 * Publishes messages as many at once as their order allows: at most one unacknowledged message of an entity.
 *
 * Why: m1 lost at a leader change, m2 stored, m1 sent again would be m2, m1. Messages of entities that are there more
 * than once, and all where they are many, go as one atomic batch where the stream allows it, which is stored in order or
 * not at all. A batch that is refused (some of it was stored before, as a rule) goes message by message
 * (docs/decisions/0024).
 */
export async function publishInOrder(
  messages: readonly Ordered[],
  options: InOrderOptions,
): Promise<readonly Outcome[]> {
  const round = new Round(messages, options);
  await orAborted(round.run(), options.signal);
  options.signal.throwIfAborted();
  return round.outcomes;
}

/** Payload in one atomic batch: it is acknowledged as a whole, also over a slow link. A larger message is one of its own. */
const atomicBytes = 1024 * 1024;
const defaultAtomicFrom = 500;

const unsent: Outcome = { type: 'unsent' };

class Round {
  readonly outcomes: Outcome[];
  readonly #messages: readonly Ordered[];
  readonly #options: InOrderOptions;

  constructor(messages: readonly Ordered[], options: InOrderOptions) {
    this.#messages = messages;
    this.#options = options;
    this.outcomes = messages.map(() => unsent);
  }

  async run(): Promise<void> {
    const lanes = { alone: [] as number[][], 'one by one': [] as number[][], free: [] as number[][] };
    const atomicLane = this.#atomicLane();
    for (const lane of this.#lanesOf(this.#messages.keys())) {
      const care = this.#careOf(lane);
      lanes[care === 'free' && lane.length < atomicLane ? 'one by one' : care].push(lane);
    }
    const sideBySide = this.#sideBySide(lanes['one by one']);
    await this.#together(lanes.free.flat());
    await sideBySide;
    await this.#alone(lanes.alone);
  }

  /** From so many messages of an entity on they go in an atomic batch. */
  #atomicLane(): number {
    const { atomicLimit, atomicFrom = defaultAtomicFrom } = this.#options;
    if (atomicLimit === 0) return Number.POSITIVE_INFINITY;
    const count = this.#messages.length;
    if (count < atomicFrom || atomicLimit < atomicFrom) return 2;
    // Large ones would be many small batches, each of which waits for the one before.
    let bytes = 0;
    for (const { payload } of this.#messages) bytes += payload.length;
    return (bytes / count) * atomicFrom <= atomicBytes ? 1 : 2;
  }

  /** Of the entity: as its most doubtful message. */
  #careOf(lane: readonly number[]): Care {
    let care: Care = 'free';
    for (const place of lane) {
      const one = this.#message(place).care ?? 'free';
      if (one === 'alone') return one;
      if (one !== 'free') care = one;
    }
    return care;
  }

  /** What may be why connections ended comes last, so that others are not held up by it. */
  async #alone(lanes: readonly number[][]): Promise<void> {
    const endings = (lane: readonly number[]): number =>
      Math.max(...lane.map((place) => this.#message(place).endings ?? 0));
    for (const lane of lanes.toSorted((a, b) => endings(a) - endings(b))) {
      if (this.outcomes.some(({ type }) => type === 'unknown')) return;
      await this.#sideBySide([lane]);
    }
  }

  /** Places by entity, each in order. */
  #lanesOf(places: Iterable<number>): number[][] {
    const lanes = new Map<string | number, number[]>();
    for (const place of places) {
      const key = this.#messages[place]?.entity ?? place;
      const lane = lanes.get(key);
      if (lane === undefined) lanes.set(key, [place]);
      else lane.push(place);
    }
    return [...lanes.values()];
  }

  /** Resolves when all is known of each of the lanes. */
  async #sideBySide(lanes: readonly number[][]): Promise<void> {
    if (lanes.length === 0) return;
    const all = deferred();
    let left = lanes.length;
    const done = (): void => {
      left -= 1;
      if (left === 0) all.resolve();
    };
    for (const lane of lanes) this.#oneByOne(lane, 0, done);
    await all.promise;
  }

  #oneByOne(lane: readonly number[], from: number, done: () => void): void {
    const place = lane[from];
    if (place === undefined || this.#over) {
      done();
      return;
    }
    this.#options.publisher.publish(this.#message(place), (answer) => {
      this.outcomes[place] = answer;
      if (this.#holds(place)) done();
      else this.#oneByOne(lane, from + 1, done);
    });
  }

  /** Of several atomic batches each waits for the one before: an entity may be in both. */
  async #together(places: readonly number[]): Promise<void> {
    const inOrder = places.toSorted((a, b) => a - b);
    const waiting = new Set<string | undefined>();
    for (const chunk of this.#chunksOf(inOrder)) {
      const batch = chunk.filter((place) => !waiting.has(this.#message(place).entity));
      if (batch.length === 0) continue;
      if (this.#over) return;
      const answer = deferred<Answer>();
      const messages = batch.map((place) => this.#message(place));
      this.#options.publisher.publishAtomically(messages, (told) => answer.resolve(told));
      const outcome = await answer.promise;
      if (outcome.type === 'refused') await this.#sideBySide(this.#lanesOf(batch));
      else for (const place of batch) this.outcomes[place] = outcome;
      for (const place of batch) {
        const { entity } = this.#message(place);
        if (entity !== undefined && this.#holds(place)) waiting.add(entity);
      }
    }
  }

  #chunksOf(places: readonly number[]): readonly number[][] {
    const chunks: number[][] = [];
    let bytes = 0;
    for (const place of places) {
      const size = this.#message(place).payload.length;
      const last = chunks.at(-1);
      if (last === undefined || last.length >= this.#options.atomicLimit || bytes + size > atomicBytes) {
        chunks.push([place]);
        bytes = size;
      } else {
        last.push(place);
        bytes += size;
      }
    }
    return chunks;
  }

  #holds(place: number): boolean {
    const outcome = this.outcomes[place] as Outcome;
    return outcome.type === 'refused' ? !this.#options.isPoison(outcome) : outcome.type !== 'stored';
  }

  get #over(): boolean {
    return this.#options.signal.aborted || !this.#options.valid();
  }

  #message(place: number): Ordered {
    return this.#messages[place] as Ordered;
  }
}
