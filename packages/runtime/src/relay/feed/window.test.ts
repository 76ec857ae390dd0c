import { describe, expect, test } from 'vitest';
import { beginning } from '../../log/outbox-event.ts';
import { Snapshot } from '../../log/snapshot.ts';
import { toLsn } from '../../replication/lsn.ts';
import { type SimulatedLog, type SimulatedTransaction, seqs } from './event-fixture.suite.ts';
import { type Place, Window } from './window.ts';
import { deliver, type OpenedWindow, openWindow, size, store } from './window-fixture.suite.ts';

/** A transaction of so many events, in the WAL. */
function commit(log: SimulatedLog, events: number, seen = true): SimulatedTransaction {
  const transaction = log.begin(events);
  while (transaction.lsn === 0n) log.write(log.transactions.length);
  transaction.visible = seen;
  return transaction;
}

describe('1: an event stays', () => {
  test('until every live sink has delivered it', () => {
    const { log, window, feed } = openWindow();
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
    const { log, window, feed } = openWindow();
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

  test('and no more is read than the fastest sink needs to go on: an eighth of the window', () => {
    const { log, window, feed } = openWindow(80);
    const [slow, fast] = [window.join(), window.join()];
    commit(log, 10);
    feed();
    expect(window.full).toBe(false);
    commit(log, 2);
    feed();
    expect(window.full).toBe(true);
    // Taken, and not yet delivered: more may be read meanwhile.
    expect(window.take(fast, 2)).toHaveLength(2);
    expect(window.full).toBe(false);
    commit(log, 5);
    feed();
    expect(window.full).toBe(true);
    window.leave(fast);
    expect(window.full).toBe(true);
    window.leave(slow);
    expect(window.full).toBe(false);
  });

  test('unless the window is full: then a pin is void, and nobody joins behind what has left', () => {
    const { log, window, feed } = openWindow(2);
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
    const { log, window, feed } = openWindow(4);
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
    // This one has all but the last two: it just keeps up.
    const close = window.join();
    deliver(window, close, 3);
    expect(window.trim()).toEqual([slow]);
    // It stays until its checkpoint is stored.
    expect(window.full).toBe(true);
    window.leave(slow);
    expect(window.trim()).toEqual([]);
    expect(window.bytes).toBe(2 * size);
  });
});

describe('2: the server may forget a transaction', () => {
  test('only when every live checkpoint covers it, to its last event', () => {
    const { log, window, feed } = openWindow();
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
    const { log, window, feed } = openWindow();
    const hidden = commit(log, 1, false);
    const { ticket } = commit(log, 1);
    feed();
    // No sink is live: the table has it all, once it is visible.
    expect(window.settle(log.snapshot())).toEqual([]);
    hidden.visible = true;
    expect(window.settle(log.snapshot())).toEqual([hidden.ticket, ticket]);
  });

  test('only when it has come to its end', () => {
    const { log, window, feed } = openWindow();
    const { ticket } = commit(log, 3);
    feed(2);
    expect(window.settle(log.snapshot())).toEqual([]);
    feed(1);
    expect(window.settle(log.snapshot())).toEqual([]);
    feed();
    expect(window.settle(log.snapshot())).toEqual([ticket]);
  });

  test('at once when it has no event; whatever else is on its way', () => {
    const { log, window, feed } = openWindow();
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
    const { log, window, feed } = openWindow();
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
    const { log, window, feed } = openWindow();
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
    const { log, window, feed } = openWindow();
    commit(log, 3, false);
    feed(2);
    const place = window.join();
    feed();
    expect(seqs(deliver(window, place))).toEqual([1, 2, 3]);
  });

  /** One live sink has all of a hidden transaction, and it has left the window; then a snapshot is taken. */
  function departed(): OpenedWindow & { readonly hidden: SimulatedTransaction; readonly live: Place } {
    const open = openWindow();
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

  test('not with one that lacks any of the many that were forgotten while one pin followed another', () => {
    const { log, window, feed } = openWindow(20_000);
    const live = window.join();
    window.pin();
    const before = log.snapshot();
    const transactions = Array.from({ length: 10_001 }, () => commit(log, 1));
    feed(20_000);
    deliver(window, live, 20_000);
    store(live, transactions.at(-1)?.events[0]?.position ?? undefined);
    window.trim();
    expect(window.settle(log.snapshot())).toHaveLength(10_001);
    expect(window.canJoin(before)).toBe(false);
    expect(window.canJoin(log.snapshot())).toBe(true);
    // Another pin began before the first one ended, with an older snapshot.
    window.pin();
    window.unpin();
    expect(window.canJoin(before)).toBe(false);
    window.unpin();
    expect(window.canJoin(before)).toBe(false);
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
  const { log, window, feed } = openWindow();
  const { events } = commit(log, 3);
  const place = window.resume(events[1]?.position ?? beginning);
  expect(place.durable).toEqual(events[1]?.position);
  commit(log, 1);
  feed();
  expect(seqs(deliver(window, place))).toEqual([3, 4]);
});

test('arrival and change resolve after they were asked for, once something has come', async () => {
  const { log, window, feed } = openWindow();
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
  const { log, window } = openWindow();
  const { txId, lsn, endLsn, events, ticket } = commit(log, 1);
  const ended = { txId, lsn, endLsn, last: events[0]?.position ?? null, ticket };
  expect(() => window.push({ events: [], transactions: [ended] }, toLsn(0x2000n))).toThrow(TypeError);
});
