import assert from 'node:assert/strict';
import fc from 'fast-check';
import { beginning, comparePositions, type LoggedEvent } from '../../log/outbox-event.ts';
import { Snapshot } from '../../log/snapshot.ts';
import { type SimulatedTransaction, seqs } from './event-fixture.suite.ts';
import type { Place } from './window.ts';
import { deliver, type OpenedWindow, openWindow, store } from './window-fixture.suite.ts';

/** How often each step is taken. */
const weights = {
  begin: 2,
  write: 3,
  show: 2,
  feed: 3,
  take: 3,
  store: 2,
  tick: 2,
  trim: 2,
  pin: 1,
  look: 2,
  join: 2,
  leave: 1,
  restart: 1,
} as const;

type Step = keyof typeof weights;

const steps = fc.constantFrom(
  ...(Object.keys(weights) as Step[]).flatMap((step) => Array.from({ length: weights[step] }, () => step)),
);

export const plays: fc.Arbitrary<readonly PlayStep[]> = fc.array(
  fc.record({ op: steps, sink: fc.nat(2), n: fc.nat(5) }),
  {
    minLength: 20,
    maxLength: 120,
  },
);

/** One step of a play: by which sink, and how much. */
export interface PlayStep {
  readonly op: Step;
  readonly sink: number;
  readonly n: number;
}

/** A sink that keeps its own books of what it has. */
class SimulatedSink {
  place: Place | undefined;
  /** What it has read from the table: all that this sees. */
  snapshot: Snapshot = Snapshot.nothing;
  has = new Set<number>();
  pinned = false;
}

/** Sinks come and go while transactions are written, shown, read, forgotten in any order. */
export class Play {
  #open: OpenedWindow;
  /** How many events of the log are before the first one of the window. */
  #before = 0;
  readonly #limit: number;
  readonly #sinks = [new SimulatedSink(), new SimulatedSink(), new SimulatedSink()];
  readonly #forgotten = new Set<SimulatedTransaction>();
  /** Whether snapshots are taken only while the sink pins, as {@link Window.canJoin} asks for. */
  readonly #pinsFirst: boolean;

  constructor(limit: number, pinsFirst: boolean) {
    this.#limit = limit;
    this.#open = openWindow(limit);
    this.#pinsFirst = pinsFirst;
  }

  do(op: Step, on: { readonly sink: number; readonly n: number }): void {
    const sink = this.#sinks[on.sink] as SimulatedSink;
    const { log, window, feed } = this.#open;
    const work: Record<Step, () => unknown> = {
      begin: () => log.begin(on.n),
      write: () => log.write(on.n),
      show: () => log.show(on.n),
      feed: () => (window.full ? [] : feed(on.n + 1)),
      take: () => this.#take(sink, on.n + 1),
      store: () => this.#store(sink),
      tick: () => this.tick(),
      trim: () => this.#trim(),
      pin: () => this.#pin(sink, !sink.pinned),
      look: () => this.#look(sink),
      join: () => this.#join(sink),
      leave: () => this.#leave(sink),
      restart: () => this.#restart(),
    };
    work[op]();
    assert.ok(window.bytes >= 0);
  }

  /** Everything comes to its end. @returns for each live sink the events that it lacks */
  end(): number[][] {
    const { log, window, feed } = this.#open;
    log.finish();
    for (let turn = 0; turn < 2; turn += 1) {
      feed(10_000);
      for (const sink of this.#sinks) this.#take(sink, 10_000);
    }
    const lacking = this.#sinks
      .filter(({ place }) => place !== undefined)
      .map(({ has }) => seqs(log.events).filter((seq) => !has.has(seq)));
    for (const sink of this.#sinks) {
      this.#store(sink);
      this.#pin(sink, false);
    }
    this.tick();
    assert.equal(window.unsettled, false);
    assert.equal(this.#forgotten.size, log.wal.filter(({ events }) => events.length > 0).length);
    window.trim();
    assert.equal(window.bytes, 0);
    return lacking;
  }

  tick(): void {
    const { log, window } = this.#open;
    const seen = log.snapshot();
    for (const ticket of window.settle(seen)) {
      const transaction = log.wal.find((each) => each.ticket === ticket) as SimulatedTransaction;
      // 2
      assert.ok(transaction.visible, 'forgotten, and not visible');
      for (const { place } of this.#sinks) {
        const last = transaction.events.at(-1)?.position ?? beginning;
        assert.ok(
          place === undefined || comparePositions(place.durable, last) >= 0,
          'forgotten, and not stored',
        );
      }
      this.#forgotten.add(transaction);
    }
    // And in the order of the log.
    const withEvents = log.wal.filter(({ events }) => events.length > 0);
    assert.ok(withEvents.slice(0, this.#forgotten.size).every((each) => this.#forgotten.has(each)));
  }

  #take(sink: SimulatedSink, most: number): void {
    if (sink.place === undefined) return;
    for (const logged of deliver(this.#open.window, sink.place, most)) {
      const seq = Number(logged.event.seq);
      // What the snapshot sees was read from the table; the rest comes from here, once.
      assert.ok(!sink.has.has(seq), `${seq} is repeated`);
      sink.has.add(seq);
    }
  }

  #store({ place }: SimulatedSink): void {
    const { window, log } = this.#open;
    if (place === undefined) return;
    const delivered = log.events[this.#before + place.delivered - 1]?.position;
    if (delivered !== null && place.delivered <= window.end) store(place, delivered);
  }

  #trim(): void {
    for (const slow of this.#open.window.trim()) {
      const sink = this.#sinks.find(({ place }) => place === slow) as SimulatedSink;
      this.#leave(sink);
    }
  }

  #pin(sink: SimulatedSink, pinned: boolean): void {
    if (sink.pinned === pinned) return;
    sink.pinned = pinned;
    if (pinned) this.#open.window.pin();
    else this.#open.window.unpin();
  }

  #look(sink: SimulatedSink): void {
    if (sink.place !== undefined) return;
    if (this.#pinsFirst) this.#pin(sink, true);
    const { log } = this.#open;
    sink.snapshot = log.snapshot();
    sink.has = new Set(seqs(log.events.filter(({ txId }) => sink.snapshot.sees(txId))));
  }

  #join(sink: SimulatedSink): void {
    const { window } = this.#open;
    const { snapshot } = sink;
    if (sink.place !== undefined || (this.#pinsFirst && !sink.pinned) || !window.canJoin(snapshot)) return;
    sink.place = window.join();
    sink.place.skip = ({ txId }) => snapshot.sees(txId);
    this.#pin(sink, false);
  }

  #leave(sink: SimulatedSink): void {
    if (sink.place === undefined) return;
    this.#open.window.leave(sink.place);
    sink.place = undefined;
    this.#look(sink);
  }

  /** The process ends at any moment, and another one goes on with what is stored. The server sends what it was not told to forget. */
  #restart(): void {
    const { log } = this.#open;
    const unknown = log.wal.findIndex((each) => each.events.length > 0 && !this.#forgotten.has(each));
    const from = unknown === -1 ? log.wal.length : unknown;
    this.#before = log.wal.slice(0, from).reduce((sum, { events }) => sum + events.length, 0);
    this.#open = openWindow(this.#limit, { log, from, barrier: log.snapshot() });
    const confirmed = log.events[this.#before - 1]?.position ?? beginning;
    for (const sink of this.#sinks) {
      const { durable = beginning } = sink.place ?? {};
      // As the relay has it: for one that the slot was confirmed past there was nothing more, its snapshot sees that.
      const live = comparePositions(durable, beginning) > 0 && comparePositions(durable, confirmed) >= 0;
      sink.pinned = false;
      sink.place = live ? this.#open.window.resume(durable) : undefined;
      const stored = ({ position, txId }: LoggedEvent): boolean =>
        live ? position !== null && comparePositions(position, durable) <= 0 : sink.snapshot.sees(txId);
      sink.has = new Set(seqs(log.events.filter(stored)));
    }
  }
}
