import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { beginning, comparePositions, type LoggedEvent, type Position } from '../log/outbox-event.ts';
import { Snapshot } from '../log/snapshot.ts';
import type { Ticket } from '../replication/acker.ts';
import { toLsn } from '../replication/lsn.ts';
import {
  loggedEvent,
  SimulatedLog,
  SimulatedReader,
  type SimulatedTransaction,
  seqs,
} from './event-fixture.suite.ts';
import { bytesOf } from './in-hand.ts';
import { type Place, Window } from './window.ts';

/** What each of the small events here takes. */
const size = bytesOf(loggedEvent(1));

interface Opened {
  readonly log: SimulatedLog;
  readonly window: Window;
  /** Takes over what is in the WAL; at most so many events. */
  feed(most?: number): Ticket[];
}

function opened(options: { readonly events?: number; readonly barrier?: Snapshot } = {}): Opened {
  const log = new SimulatedLog();
  const reader = new SimulatedReader(log);
  const window = new Window((options.events ?? 1_000) * size);
  window.start(options.barrier);
  const feed = (most = 1_000): Ticket[] => {
    const batch = reader.read(most);
    return window.push(batch, reader.readTo);
  };
  return { log, window, feed };
}

/** A transaction of so many events, in the WAL. */
function commit(log: SimulatedLog, events: number, seen = true): SimulatedTransaction {
  const transaction = log.begin(events);
  while (transaction.lsn === 0n) log.write(log.transactions.length);
  transaction.visible = seen;
  return transaction;
}

/** A sink takes and delivers so many, or all that there is. */
function deliver(window: Window, place: Place, most = 1_000): LoggedEvent[] {
  const taken = window.take(place, most).filter((logged) => place.skip?.(logged) !== true);
  place.delivered = place.taken;
  window.moved();
  return taken;
}

/** Its checkpoint is stored. */
function store(place: Place, position: Position | undefined): void {
  if (position !== undefined) place.durable = position;
}

describe('1: an event stays', () => {
  test('until every live sink has delivered it', () => {
    const { log, window, feed } = opened();
    const [slow, fast] = [window.join(), window.join()];
    commit(log, 3);
    feed();
    expect(seqs(deliver(window, fast))).toEqual([1, 2, 3]);
    expect(seqs(window.take(slow, 2))).toEqual([1, 2]);
    slow.delivered = 1;
    expect(window.trim()).toEqual([]);
    expect(window.bytes).toBe(2 * size);
    expect(seqs(window.take(slow, 10))).toEqual([3]);
    expect(window.positionAt(0)).toBeUndefined();
    expect(window.positionAt(2)?.ordinal).toBe(2);
    expect(window.oldestOf(slow)).toBe(1_002);
    slow.delivered = 3;
    expect(window.oldestOf(slow)).toBeUndefined();
    window.trim();
    expect(window).toMatchObject({ bytes: 0, end: 3 });
  });

  test('while it is pinned, also when no sink is live', () => {
    const { log, window, feed } = opened();
    window.pin();
    window.pin();
    commit(log, 2);
    feed();
    window.trim();
    window.unpin();
    window.trim();
    expect(window.bytes).toBe(2 * size);
    const place = window.join();
    window.unpin();
    window.trim();
    expect(seqs(deliver(window, place))).toEqual([1, 2]);
    window.trim();
    expect(window.bytes).toBe(0);
  });

  test('unless the window is full: then a pin is void, and nobody joins behind what has left', () => {
    const { log, window, feed } = opened({ events: 2 });
    const seen = log.snapshot();
    window.pin();
    expect(window.canJoin(seen)).toBe(true);
    commit(log, 3);
    feed();
    expect(window.full).toBe(true);
    window.trim();
    expect(window).toMatchObject({ full: false, bytes: 0 });
    expect(window.canJoin(seen)).toBe(false);
    expect(window.canJoin(log.snapshot())).toBe(true);
  });

  test('and when it is full, those that are behind half of it must leave; the fastest one never', () => {
    const { log, window, feed } = opened({ events: 4 });
    const [slow, fast] = [window.join(), window.join()];
    commit(log, 5);
    feed();
    // Both have nothing: reading waits.
    expect(window.trim()).toEqual([]);
    expect(window.full).toBe(true);
    deliver(window, fast, 2);
    expect(window.trim()).toEqual([]);
    deliver(window, fast, 1);
    deliver(window, slow, 2);
    expect(window.trim()).toEqual([]);
    expect(window.bytes).toBe(3 * size);
    commit(log, 2);
    feed();
    deliver(window, fast);
    deliver(window, slow, 1);
    expect(window.trim()).toEqual([]);
    commit(log, 1);
    feed();
    expect(window.full).toBe(true);
    deliver(window, fast);
    expect(window.trim()).toEqual([slow]);
    // It stays until its checkpoint is stored.
    expect(window.full).toBe(true);
    window.leave(slow);
    expect(window.trim()).toEqual([]);
    expect(window.bytes).toBe(0);
  });
});

describe('2: the server may forget a transaction', () => {
  test('only when every live checkpoint covers it, to its last event', () => {
    const { log, window, feed } = opened();
    const places = [window.join(), window.join()] as const;
    const { events, ticket } = commit(log, 2);
    feed();
    for (const place of places) deliver(window, place);
    expect(window.settle(log.snapshot())).toEqual([]);
    store(places[0], events[1]?.position ?? undefined);
    store(places[1], events[0]?.position ?? undefined);
    expect(window.settle(log.snapshot())).toEqual([]);
    expect(window.unsettled).toBe(true);
    store(places[1], events[1]?.position ?? undefined);
    expect(window.settle(log.snapshot())).toEqual([ticket]);
    expect(window.unsettled).toBe(false);
    expect(window.settle(log.snapshot())).toEqual([]);
  });

  test('only when a snapshot has seen it: its commit record comes first', () => {
    const { log, window, feed } = opened();
    const hidden = commit(log, 1, false);
    const { ticket } = commit(log, 1);
    feed();
    // No sink is live: the table has it all, once it is visible.
    expect(window.settle(log.snapshot())).toEqual([]);
    hidden.visible = true;
    expect(window.settle(log.snapshot())).toEqual([hidden.ticket, ticket]);
  });

  test('only when it has come to its end', () => {
    const { log, window, feed } = opened();
    const { ticket } = commit(log, 3);
    feed(2);
    expect(window.settle(log.snapshot())).toEqual([]);
    feed(1);
    expect(window.settle(log.snapshot())).toEqual([]);
    feed();
    expect(window.settle(log.snapshot())).toEqual([ticket]);
  });

  test('at once when it has no event; whatever else is on its way', () => {
    const { log, window, feed } = opened();
    const place = window.join();
    const first = commit(log, 1);
    const empty = commit(log, 0);
    const last = commit(log, 1);
    expect(feed()).toEqual([empty.ticket]);
    deliver(window, place);
    store(place, last.events[0]?.position ?? undefined);
    expect(window.settle(log.snapshot())).toEqual([first.ticket, last.ticket]);
  });

  test('a sink that has left holds nothing back', () => {
    const { log, window, feed } = opened();
    const place = window.join();
    const { ticket } = commit(log, 1);
    feed();
    expect(window.settle(log.snapshot())).toEqual([]);
    window.leave(place);
    expect(window.settle(log.snapshot())).toEqual([ticket]);
  });
});

describe('3: a sink joins with a snapshot', () => {
  test('not before the WAL is read, and only behind what the slot began with', () => {
    const window = new Window(size);
    expect(window.open).toBe(false);
    expect(window.canJoin(Snapshot.parse('710:710:'))).toBe(false);
    window.start(Snapshot.parse('700:705:702'));
    expect(window.canJoin(Snapshot.parse('702:705:702'))).toBe(true);
    expect(window.canJoin(Snapshot.parse('702:710:702,704'))).toBe(false);
    expect(window.canJoin(Snapshot.parse('704:704:'))).toBe(false);
    expect(window.canJoin(Snapshot.parse('710:710:'))).toBe(true);
  });

  test('only when that sees what has left, be it one event of a transaction', () => {
    const { log, window, feed } = opened();
    const live = window.join();
    const hidden = commit(log, 3, false);
    commit(log, 1, false);
    feed();
    const before = log.snapshot();
    expect(window.canJoin(before)).toBe(true);
    deliver(window, live, 1);
    window.trim();
    expect(window.canJoin(before)).toBe(false);
    hidden.visible = true;
    // The second one has not left: the sink finds it in the window.
    expect(window.canJoin(log.snapshot())).toBe(true);
  });

  test('and finds the rest of a transaction there of which the beginning came before', () => {
    const { log, window, feed } = opened();
    commit(log, 3, false);
    feed(2);
    const place = window.join();
    feed();
    expect(seqs(deliver(window, place))).toEqual([1, 2, 3]);
  });

  /** One live sink has all of a hidden transaction, and it has left the window; then a snapshot is taken. */
  function departed(): Opened & { readonly hidden: SimulatedTransaction; readonly live: Place } {
    const open = opened();
    const live = open.window.join();
    const hidden = commit(open.log, 1, false);
    open.feed();
    deliver(open.window, live);
    store(live, hidden.events[0]?.position ?? undefined);
    open.window.trim();
    return { ...open, hidden, live };
  }

  test('not with one that lacks what the server was told to forget after it was taken', () => {
    const { log, window, hidden } = departed();
    // The sink pins, takes its snapshot and is busy with the batch; meanwhile a tick sees the transaction.
    window.pin();
    const before = log.snapshot();
    expect(before.sees(hidden.txId)).toBe(false);
    expect(window.canJoin(before)).toBe(false);
    hidden.visible = true;
    expect(window.settle(log.snapshot())).toEqual([hidden.ticket]);
    expect(window.canJoin(before)).toBe(false);
    expect(window.canJoin(log.snapshot())).toBe(true);
  });

  test('not with an older tick, at which a batch of the table ended', () => {
    const { log, window, hidden } = departed();
    const older = log.snapshot();
    hidden.visible = true;
    window.settle(log.snapshot());
    window.pin();
    expect(window.canJoin(older)).toBe(false);
  });
});

test('a sink that goes on after a position skips what is up to it', () => {
  const { log, window, feed } = opened();
  const { events } = commit(log, 3);
  const place = window.resume(events[1]?.position ?? beginning);
  expect(place.durable).toEqual(events[1]?.position);
  commit(log, 1);
  feed();
  expect(seqs(deliver(window, place))).toEqual([3, 4]);
});

test('arrival and change resolve after they were asked for, once something has come', async () => {
  const { log, window, feed } = opened();
  const told: string[] = [];
  const { arrival, change } = window;
  const waits = [arrival.then(() => told.push('arrival')), change.then(() => told.push('change'))];
  commit(log, 1);
  feed();
  await waits[0];
  expect(told).toEqual(['arrival']);
  window.leave(window.join());
  await waits[1];
  expect(told).toEqual(['arrival', 'change']);
  expect(window.arrival).not.toBe(arrival);
  expect(window.change).not.toBe(change);
});

test('a commit whose events never came is a fault of ours, and is not passed over', () => {
  const { log, window } = opened();
  const { txId, lsn, endLsn, events, ticket } = commit(log, 1);
  const ended = { txId, lsn, endLsn, last: events[0]?.position ?? null, ticket };
  expect(() => window.push({ events: [], transactions: [ended] }, toLsn(0x2000n))).toThrow(TypeError);
});

const ops = [
  ...[
    'begin',
    'begin',
    'write',
    'write',
    'write',
    'show',
    'show',
    'feed',
    'feed',
    'feed',
    'take',
    'take',
    'take',
  ],
  ...['store', 'store', 'tick', 'tick', 'trim', 'trim', 'pin', 'look', 'look', 'join', 'join', 'leave'],
] as const;

const plays = fc.array(fc.record({ op: fc.constantFrom(...ops), sink: fc.nat(2), n: fc.nat(5) }), {
  minLength: 20,
  maxLength: 120,
});

/** A sink that keeps its own books of what it has. */
class SimulatedSink {
  place: Place | undefined;
  /** What it has read from the table: all that this sees. */
  snapshot: Snapshot = Snapshot.nothing;
  has = new Set<number>();
  pinned = false;
}

/** Sinks come and go while transactions are written, shown, read, forgotten in any order. */
class Play {
  readonly #open: Opened;
  readonly #sinks = [new SimulatedSink(), new SimulatedSink(), new SimulatedSink()];
  readonly #forgotten = new Set<SimulatedTransaction>();
  /** Whether snapshots are taken only while the sink pins, as {@link Window.canJoin} asks for. */
  readonly #pinsFirst: boolean;

  constructor(limit: number, pinsFirst: boolean) {
    this.#open = opened({ events: limit });
    this.#pinsFirst = pinsFirst;
  }

  do(op: (typeof ops)[number], on: { readonly sink: number; readonly n: number }): void {
    const sink = this.#sinks[on.sink] as SimulatedSink;
    const { log, window, feed } = this.#open;
    const work: Record<(typeof ops)[number], () => unknown> = {
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
    };
    work[op]();
    expect(window.bytes).toBeGreaterThanOrEqual(0);
  }

  /** Everything comes to its end: nobody may lack anything. */
  end(): void {
    const { log, window, feed } = this.#open;
    log.finish();
    for (let turn = 0; turn < 2; turn += 1) {
      feed(10_000);
      for (const sink of this.#sinks) this.#take(sink, 10_000);
    }
    const all = seqs(log.events).toSorted((a, b) => a - b);
    for (const { place, has } of this.#sinks) {
      if (place !== undefined) expect([...has].toSorted((a, b) => a - b)).toEqual(all);
    }
    for (const sink of this.#sinks) {
      this.#store(sink);
      this.#pin(sink, false);
    }
    this.tick();
    expect(window.unsettled).toBe(false);
    expect(this.#forgotten.size).toBe(log.wal.filter(({ events }) => events.length > 0).length);
    window.trim();
    expect(window.bytes).toBe(0);
  }

  tick(): void {
    const { log, window } = this.#open;
    const seen = log.snapshot();
    for (const ticket of window.settle(seen)) {
      const transaction = log.wal.find((each) => each.ticket === ticket) as SimulatedTransaction;
      // 2
      expect(transaction.visible).toBe(true);
      for (const { place } of this.#sinks) {
        const last = transaction.events.at(-1)?.position ?? beginning;
        if (place !== undefined) expect(comparePositions(place.durable, last)).toBeGreaterThanOrEqual(0);
      }
      this.#forgotten.add(transaction);
    }
    // And in the order of the log.
    const withEvents = log.wal.filter(({ events }) => events.length > 0);
    expect(withEvents.slice(0, this.#forgotten.size).every((each) => this.#forgotten.has(each))).toBe(true);
  }

  #take(sink: SimulatedSink, most: number): void {
    if (sink.place === undefined) return;
    for (const logged of deliver(this.#open.window, sink.place, most)) {
      const seq = Number(logged.event.seq);
      // What the snapshot sees was read from the table; the rest comes from here, once.
      expect(sink.has.has(seq)).toBe(false);
      sink.has.add(seq);
    }
  }

  #store({ place }: SimulatedSink): void {
    const { window, log } = this.#open;
    if (place === undefined) return;
    const delivered = seqs(log.events).length === 0 ? undefined : log.events[place.delivered - 1]?.position;
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
}

describe('1 to 3 hold for transactions that are visible later than they are in the WAL, and sinks that come and go', () => {
  test.each([
    ['with a snapshot that was taken while the window was pinned', true],
    ['with any snapshot, as that of an older tick', false],
  ])('%s', (_how, pinsFirst) => {
    fc.assert(
      fc.property(plays, fc.integer({ min: 2, max: 12 }), (play, limit) => {
        const run = new Play(limit, pinsFirst);
        for (const { op, ...on } of play) run.do(op, on);
        run.end();
      }),
      { numRuns: 3_000 },
    );
  });
});
