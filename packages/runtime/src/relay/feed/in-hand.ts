import { backoffDelay } from '../../lifecycle/backoff.ts';
import { entityOf, type LoggedEvent } from '../../log/outbox-event.ts';
import type { DeliveryResult } from '../../sinks/sink.ts';

/** An event that is to be delivered. */
export interface Entry {
  /** Without its payload and headers once it is done and only waits for earlier ones. */
  logged: LoggedEvent;
  /** Where its reader found it: a number that grows. */
  readonly place: number;
  done: boolean;
  /** What it counts for in {@link InHand.bytes}. */
  bytes: number;
}

/** Events of one entity that wait, in order, for a failed one of theirs to be tried again. */
interface Held {
  /** What waits; what was taken into the current batch is not among them. */
  entries: Entry[];
  until: number;
  /** Undefined: they wait behind a dead letter that is redriven, or for what the batch has of their entity. */
  readonly turnedAway?: TurnedAway | undefined;
}

/** An event that the sink did not take, and others of its entity wait for. */
export interface TurnedAway {
  readonly entry: Entry;
  /** When it was turned away for the first time, by the clock that `settle` is given. */
  readonly since: number;
  /** Why, the last time. */
  readonly error: Error;
  /** How often, one time after another. */
  readonly times: number;
}

/** The longest wait of an event that is turned away again and again, unless its sink asks for a longer one. Milliseconds. */
const longestWaitMs = 30_000;

const none: ReadonlySet<Entry> = new Set();
const nobody: ReadonlySet<string> = new Set();

/** How much one batch may have. A single larger event still goes, alone. */
export interface BatchLimit {
  readonly events: number;
  readonly bytes: number;
  /** Nothing goes beside an event of its entity: what becomes of that one decides. Default false. */
  readonly onePerEntity?: boolean;
}

/**
 * What an event without its payload and headers takes in memory, roughly: so that a great many small events
 * count too.
 */
const eventOverheadBytes = 1_024;

const nothing = Buffer.alloc(0);

/**
 * The events that one sink has been offered and has not yet done with, in the order of the log: keeps the order of
 * each entity under retries, and knows which prefix is delivered.
 *
 * Invariants (in-hand.test.ts):
 * 1. An event is handed out only after every earlier event of its entity was delivered or rejected.
 * 2. A retry holds back its own entity only; so does what is on its way beside this.
 * 3. `passed` counts a contiguous prefix of what was offered, and never goes back.
 */
export class InHand {
  /** What is not passed begins at #head, what was never handed out at #fresh. */
  #open: Entry[] = [];
  #head = 0;
  #fresh = 0;
  readonly #held = new Map<string, Held>();
  #bytes = 0;
  #passed = 0;
  readonly #onPassed: (entry: Entry) => void;
  readonly #behind: () => ReadonlySet<string>;
  readonly #random: () => number;

  /**
   * @param onPassed told of each event that joins the delivered prefix, in order
   * @param behind entities of which nothing is handed out now: something older is on its way to the sink beside this
   * @param random a number from 0 up to 1; given by tests
   */
  constructor(
    onPassed: (entry: Entry) => void,
    behind: () => ReadonlySet<string> = () => nobody,
    random: () => number = Math.random,
  ) {
    this.#onPassed = onPassed;
    this.#behind = behind;
    this.#random = random;
  }

  /** How many of the events that were offered are delivered, without a gap from the first. */
  get passed(): number {
    return this.#passed;
  }

  /** How many were offered. */
  get offered(): number {
    return this.#passed + this.#open.length - this.#head;
  }

  /** The first one that is not delivered. */
  get firstOpen(): Entry | undefined {
    return this.#open[this.#head];
  }

  /** What it keeps in memory: payloads and headers of what is not done, and 1 KiB for the rest of each event. */
  get bytes(): number {
    return this.#bytes;
  }

  /** When the next event that waits for its repetition is due, by the clock that `next` is given. */
  get nextRetryAt(): number | undefined {
    let next: number | undefined;
    const behind = this.#behind();
    for (const [key, { until }] of this.#held) {
      if (!behind.has(key) && (next === undefined || until < next)) next = until;
    }
    return next;
  }

  /** Of the events that were turned away and wait, the oldest; undefined: there is none. */
  get oldestTurnedAway(): TurnedAway | undefined {
    let oldest: TurnedAway | undefined;
    for (const { turnedAway } of this.#held.values()) {
      // Those behind one that was taken since are due.
      if (turnedAway === undefined || turnedAway.entry.done) continue;
      if (oldest === undefined || turnedAway.entry.place < oldest.entry.place) oldest = turnedAway;
    }
    return oldest;
  }

  /** What is known of an event that was turned away the last time; undefined: it was not, or something before it was. */
  turnedAway(entry: Entry): TurnedAway | undefined {
    const turnedAway = this.#held.get(keyOf(entry))?.turnedAway;
    return turnedAway?.entry === entry ? turnedAway : undefined;
  }

  /** The last of the first so many events that were offered; undefined: it is forgotten, or not there yet. */
  entryBefore(offered: number): Entry | undefined {
    return this.#open[this.#head + offered - this.#passed - 1];
  }

  /** Takes an event over; in the order of the log. */
  offer(logged: LoggedEvent, place: number): void {
    const bytes = bytesOf(logged);
    this.#open.push({ logged, place, done: false, bytes });
    this.#bytes += bytes;
  }

  /** The next batch: held entities whose time has come first (they are older), then what was never handed out. */
  next(now: number, limit: BatchLimit): Entry[] {
    const batch: Entry[] = [];
    let bytes = 0;
    const entities = new Set<string>();
    const fits = (entry: Entry): boolean => {
      const size = entry.logged.event.payload.length;
      if (batch.length > 0 && (batch.length >= limit.events || bytes + size > limit.bytes)) return false;
      if (limit.onePerEntity === true) {
        if (entities.has(keyOf(entry))) return false;
        entities.add(keyOf(entry));
      }
      bytes += size;
      batch.push(entry);
      return true;
    };
    const behind = this.#behind();
    for (const [key, held] of this.#held) {
      if (held.until > now || behind.has(key)) continue;
      const left = held.entries.findIndex((entry) => !fits(entry));
      held.entries = left === -1 ? [] : held.entries.slice(left);
    }
    for (; this.#fresh < this.#open.length; this.#fresh += 1) {
      const entry = this.#open[this.#fresh] as Entry;
      const held = this.#held.size + behind.size === 0 ? undefined : this.#heldOf(entry, behind);
      if (held !== undefined) held.entries.push(entry);
      else if (limit.onePerEntity === true && entities.has(keyOf(entry))) {
        this.#held.set(keyOf(entry), { entries: [entry], until: 0 });
      } else if (!fits(entry)) break;
    }
    return batch;
  }

  /**
   * How far the prefix reaches once all of this batch is delivered: up to the first event that waits outside of it.
   *
   * @param open those of the batch that will not be
   */
  passedAfter(batch: readonly Entry[], open: ReadonlySet<Entry> = none): number {
    if (this.#held.size === 0 && open.size === 0) return this.#passed + this.#fresh - this.#head;
    const handed = new Set(batch);
    let passed = this.#passed;
    for (let at = this.#head; at < this.#open.length; at += 1) {
      const entry = this.#open[at] as Entry;
      if (!entry.done && (!handed.has(entry) || open.has(entry))) break;
      passed += 1;
    }
    return passed;
  }

  /**
   * The outcome of a batch; a rejected event counts as delivered (its dead letter is kept). What was turned away waits for
   * as long as the sink says, and longer each time that it is turned away again.
   *
   * @returns milliseconds that the first of those waits; undefined: there is none
   */
  settle(batch: readonly Entry[], results: readonly DeliveryResult[], now: number): number | undefined {
    const again = new Map<string, Held>();
    let [firstWaits, share]: [number | undefined, number | undefined] = [undefined, undefined];
    // One for all: what was handed over together comes together again, not in as many batches as there are events.
    const random = (): number => (share ??= this.#random());
    for (const [index, entry] of batch.entries()) {
      const result = results[index];
      if (result?.type !== 'retry') {
        entry.done = true;
        continue;
      }
      const key = keyOf(entry);
      const failed = again.get(key);
      if (failed !== undefined) {
        failed.entries.push(entry);
        continue;
      }
      const before = this.#held.get(key)?.turnedAway;
      const { since, times } = before?.entry === entry ? before : { since: now, times: 0 };
      const turnedAway = { entry, since, error: result.error, times: times + 1 };
      const waits = waitOf(turnedAway.times, result.afterMs, random);
      firstWaits ??= waits;
      again.set(key, { entries: [entry], until: now + waits, turnedAway });
    }
    if (this.#held.size > 0) for (const entry of batch) this.#release(keyOf(entry), again);
    for (const [key, each] of again) {
      const held = this.#held.get(key);
      this.#held.set(key, { ...each, entries: [...each.entries, ...(held?.entries ?? [])] });
    }
    this.#pass();
    // Something that was handed out is open: what is done behind it may have to wait for long.
    if (this.#head < this.#fresh) for (const entry of batch) this.#slim(entry);
    return firstWaits;
  }

  #heldOf(entry: Entry, behind: ReadonlySet<string>): Held | undefined {
    const entity = entityOf(entry.logged.event);
    if (entity === undefined) return undefined;
    let held = this.#held.get(entity);
    if (held === undefined && behind.has(entity)) {
      held = { entries: [], until: 0 };
      this.#held.set(entity, held);
    }
    return held;
  }

  /** An entity that was tried again and did not fail: what waited behind it is due at once. */
  #release(key: string, again: ReadonlyMap<string, unknown>): void {
    if (again.has(key)) return;
    const held = this.#held.get(key);
    if (held === undefined) return;
    if (held.entries.length === 0) this.#held.delete(key);
    else held.until = 0;
  }

  #pass(): void {
    while (this.#head < this.#open.length) {
      const entry = this.#open[this.#head] as Entry;
      if (!entry.done) break;
      this.#bytes -= entry.bytes;
      entry.bytes = 0;
      this.#passed += 1;
      this.#head += 1;
      this.#onPassed(entry);
    }
    this.#forget();
  }

  #slim(entry: Entry): void {
    if (!entry.done || entry.bytes <= eventOverheadBytes) return;
    const { logged } = entry;
    entry.logged = { ...logged, event: { ...logged.event, payload: nothing, headers: null } };
    this.#bytes -= entry.bytes - eventOverheadBytes;
    entry.bytes = eventOverheadBytes;
  }

  /** Gives passed entries back to the garbage collector; seldom, because it moves all the others. */
  #forget(): void {
    if (this.#head < this.#open.length && (this.#head < 4_096 || this.#head * 2 < this.#open.length)) return;
    this.#open = this.#open.slice(this.#head);
    this.#fresh -= this.#head;
    this.#head = 0;
  }
}

/** How long an event waits that was turned away so many times, one after another: twice as long each time, or so. */
function waitOf(times: number, afterMs: number, random: () => number): number {
  const asked = afterMs > 0 ? afterMs : 0;
  if (times === 1) return asked;
  const grown = backoffDelay(times, { baseMs: Math.max(1, asked), maxMs: longestWaitMs, random });
  return Math.max(asked, grown);
}

/** An event without an entity is an entity of its own. */
export function keyOf({ logged: { event } }: Entry): string {
  return entityOf(event) ?? `\u0000${event.eventId}`;
}

/** What an event takes in memory, roughly. */
export function bytesOf({ event }: LoggedEvent): number {
  return event.payload.length + (event.headers?.length ?? 0) + eventOverheadBytes;
}
