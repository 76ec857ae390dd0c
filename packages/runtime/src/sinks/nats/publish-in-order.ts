import { deferred } from '../../internal/deferred.ts';
import { orAborted } from '../../internal/or-aborted.ts';
import type { BatchKind } from './batch-writer.ts';
import type { Care } from './doubts.ts';
import type { Ack, Answer, OpenBatch, Outgoing, Publisher } from './publisher.ts';

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

/** Messages in their order. An array is one; another one may make each when it is asked for. */
export interface Messages {
  readonly length: number;
  /** Each is asked for in order the first time. Undefined: there is nothing to be sent for it. */
  at(place: number): Ordered | undefined;
}

export interface Batches {
  readonly kind: BatchKind;
  /** Messages in one, at most. */
  readonly limit: number;
  /** All of them go in batches, whoever they are of: one answer for many takes less time than one for each. */
  readonly all: boolean;
}

export interface InOrderOptions {
  readonly publisher: Publisher;
  /** Undefined: the stream takes none. */
  readonly batches: Batches | undefined;
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
 * than once, or all of them, go as one batch where the stream allows it, which is stored in order as far as it is. A batch
 * that is refused (some of it was stored before, as a rule) goes message by message (docs/decisions/0024).
 *
 * @returns for each of the messages; `unsent` for what there was nothing to be sent for
 */
export async function publishInOrder(
  messages: Messages,
  options: InOrderOptions,
): Promise<readonly Outcome[]> {
  const round = new Round(messages, options);
  await orAborted(round.run(), options.signal);
  options.signal.throwIfAborted();
  return round.outcomes;
}

/** Payload in one batch: it is acknowledged as a whole, also over a slow link. A larger message is one of its own. */
const batchBytes = 1024 * 1024;

const unsent: Outcome = { type: 'unsent' };

/** A batch under way, and the places of what is in it. */
interface OpenRun {
  readonly batch: OpenBatch;
  readonly answer: Promise<Answer>;
  readonly places: number[];
  bytes: number;
}

class Round {
  readonly outcomes: Outcome[];
  readonly #messages: Messages;
  readonly #options: InOrderOptions;
  /** Entities of which something in a batch was not stored: nothing more of them goes. */
  readonly #stuck = new Set<string>();

  constructor(messages: Messages, options: InOrderOptions) {
    this.#messages = messages;
    this.#options = options;
    this.outcomes = Array.from({ length: messages.length }, () => unsent);
  }

  async run(): Promise<void> {
    const { batches } = this.#options;
    const everything = this.outcomes.keys();
    const left = batches?.all === true ? await this.#inBatches(everything, batches) : everything;
    const lanes = { alone: [] as number[][], 'one by one': [] as number[][], free: [] as number[][] };
    for (const lane of this.#lanesOf(left)) {
      const care = this.#careOf(lane);
      const single = batches === undefined || lane.length === 1;
      lanes[care === 'free' && single ? 'one by one' : care].push(lane);
    }
    const sideBySide = this.#sideBySide(lanes['one by one']);
    const free = lanes.free.flat().toSorted((a, b) => a - b);
    if (batches !== undefined) await this.#inBatches(free, batches);
    await sideBySide;
    await this.#alone(lanes.alone);
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
      const message = this.#messages.at(place);
      if (message === undefined) continue;
      const key = message.entity ?? place;
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

  /**
   * Each is written as soon as it is there, so that the server works while the next one is made. Of several batches each
   * waits for the one before: an entity may be in both.
   *
   * @returns what may not go in a batch, and what is behind it
   */
  async #inBatches(places: Iterable<number>, batches: Batches): Promise<readonly number[]> {
    const left: number[] = [];
    const behind = new Set<string>();
    let run: OpenRun | undefined;
    for (const place of places) {
      const message = this.#messages.at(place);
      if (message === undefined) continue;
      const { entity, care = 'free', payload } = message;
      if (run !== undefined && !fits(run, payload.length, batches.limit)) {
        await this.#end(run);
        run = undefined;
      }
      if (care !== 'free' || (entity !== undefined && behind.has(entity))) {
        left.push(place);
        if (entity !== undefined) behind.add(entity);
        continue;
      }
      if (entity !== undefined && this.#stuck.has(entity)) continue;
      if (run === undefined && this.#over) return [];
      run ??= this.#begin(batches.kind);
      run.places.push(place);
      run.bytes += payload.length;
      run.batch.add(message);
    }
    if (run !== undefined) await this.#end(run);
    return left.filter((place) => !this.#stuck.has(this.#message(place).entity ?? ''));
  }

  #begin(kind: BatchKind): OpenRun {
    const answer = deferred<Answer>();
    const batch = this.#options.publisher.beginBatch(kind, (told) => answer.resolve(told));
    return { batch, answer: answer.promise, places: [], bytes: 0 };
  }

  async #end({ batch, answer, places }: OpenRun): Promise<void> {
    batch.end();
    const outcome = await answer;
    if (outcome.type === 'refused') await this.#sideBySide(this.#lanesOf(places));
    else for (const place of places) this.outcomes[place] = outcome;
    for (const place of places) {
      const { entity } = this.#message(place);
      if (entity !== undefined && this.#holds(place)) this.#stuck.add(entity);
    }
  }

  #holds(place: number): boolean {
    const outcome = this.outcomes[place] as Outcome;
    return outcome.type === 'refused' ? !this.#options.isPoison(outcome) : outcome.type !== 'stored';
  }

  get #over(): boolean {
    return this.#options.signal.aborted || !this.#options.valid();
  }

  #message(place: number): Ordered {
    return this.#messages.at(place) as Ordered;
  }
}

function fits({ places, bytes }: OpenRun, size: number, limit: number): boolean {
  return places.length < limit && bytes + size <= batchBytes;
}
