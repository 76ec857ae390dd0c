import { describe, expect, test } from 'vitest';
import type { Checkpoint } from '../../log/checkpoint.ts';
import { beginning, type LoggedEvent, type Position } from '../../log/outbox-event.ts';
import { Snapshot } from '../../log/snapshot.ts';
import { toLsn } from '../../replication/lsn.ts';
import type { DeliveryResult } from '../../sinks/sink.ts';
import { fromNothing, fromTable, loggedEvent, SimulatedLog } from './event-fixture.suite.ts';
import { Progress } from './progress.ts';

const done: DeliveryResult = { type: 'delivered' };
const later: DeliveryResult = { type: 'retry', afterMs: 0, error: new Error('later') };
const wide = { events: 1_000, bytes: 1_000_000 };

/** Hands out what there is; the first one that fails holds back the prefix. */
function deliver(progress: Progress, failing: readonly number[] = []): void {
  const batch = progress.inHand.next(1_000, wide);
  const results = batch.map(({ logged }) => (failing.includes(Number(logged.event.seq)) ? later : done));
  progress.inHand.settle(batch, results, 1_000);
}

const lsn = (n: number): Position['lsn'] => toLsn(BigInt(n));
const live = (seq: number, txId: bigint, position: Position): LoggedEvent =>
  loggedEvent(seq, { txId, position });
const s0 = Snapshot.parse('700:700:');
const s1 = Snapshot.parse('710:710:');
const s2 = Snapshot.parse('720:720:');

describe('in the table', () => {
  test('1: a mark counts once everything that was offered before it is delivered', () => {
    const progress = new Progress(fromNothing);
    const page = { ...fromNothing, batch: { to: s1, afterSeq: 2n } };
    const end = { ...fromNothing, snapshot: s1 };
    for (const seq of [1, 2]) progress.inHand.offer(fromTable(loggedEvent(seq)), -1);
    progress.mark(page);
    progress.inHand.offer(fromTable(loggedEvent(3)), -1);
    progress.mark(end);
    expect(progress.checkpoint).toBe(fromNothing);
    expect([0, 1, 2, 3].map((passed) => progress.at(passed))).toEqual([fromNothing, fromNothing, page, end]);
    deliver(progress, [2]);
    expect(progress.checkpoint).toBe(fromNothing);
    deliver(progress);
    expect(progress.checkpoint).toBe(end);
    expect(progress.unseen).toBe(false);
  });

  test('1: of two marks at one place the later one counts, also when nothing was offered', () => {
    const progress = new Progress(fromNothing);
    const end = { ...fromNothing, snapshot: s2 };
    progress.mark({ ...fromNothing, snapshot: s1 });
    expect(progress.checkpoint.snapshot).toBe(s1);
    progress.mark(end);
    expect(progress.checkpoint).toBe(end);
    progress.inHand.offer(fromTable(loggedEvent(1)), -1);
    progress.mark({ ...fromNothing, batch: { to: s2, afterSeq: 1n } });
    progress.mark({ ...fromNothing, snapshot: s2, floorSeq: 7n });
    expect(progress.at(1).floorSeq).toBe(7n);
    expect(progress.checkpoint).toBe(end);
  });
});

describe('in the WAL', () => {
  const from: Checkpoint = {
    ...fromNothing,
    mode: 'live',
    position: { lsn: lsn(0x100), ordinal: 2 },
    snapshot: s0,
  };

  test('1: a pair counts once its LSN is passed, not when it comes', () => {
    const progress = new Progress(from);
    progress.inHand.offer(live(1, 705n, { lsn: lsn(0x200), ordinal: 0 }), 0);
    progress.offer({ snapshot: s1, lsn: lsn(0x240) });
    progress.cover(lsn(0x200), null);
    expect(progress.checkpoint).toMatchObject({ mode: 'live', snapshot: s0 });
    deliver(progress);
    expect(progress.checkpoint).toMatchObject({ snapshot: s0, position: { lsn: 0x200n, ordinal: 0 } });
    expect(progress.unseen).toBe(true);
    progress.cover(lsn(0x23f), null);
    expect(progress.checkpoint.snapshot).toBe(s0);
    progress.cover(lsn(0x240), null);
    expect(progress.checkpoint.snapshot).toBe(s1);
    expect(progress.unseen).toBe(false);
  });

  test('1: of several that are passed at once the last one counts', () => {
    const progress = new Progress(from);
    progress.offer({ snapshot: s1, lsn: lsn(0x240) });
    progress.offer({ snapshot: s2, lsn: lsn(0x280) });
    progress.cover(lsn(0x300), null);
    expect(progress.checkpoint.snapshot).toBe(s2);
  });

  test('2: the position is that of the last event of the prefix, also for a batch that is on its way', () => {
    const progress = new Progress(from);
    for (const ordinal of [0, 1, 2]) {
      progress.inHand.offer(live(ordinal + 1, 705n, { lsn: lsn(0x200), ordinal }), ordinal);
    }
    expect(progress.at(2).position).toEqual({ lsn: 0x200n, ordinal: 1 });
    deliver(progress, [2]);
    expect(progress.checkpoint.position).toEqual({ lsn: 0x200n, ordinal: 0 });
    deliver(progress);
    expect(progress.checkpoint.position).toEqual({ lsn: 0x200n, ordinal: 2 });
  });

  test('2: it moves on with the log where that has nothing for the sink, and never back', () => {
    const progress = new Progress(from);
    progress.cover(lsn(0x300), { lsn: lsn(0x300), ordinal: 0 });
    expect(progress.checkpoint.position).toEqual({ lsn: 0x300n, ordinal: -1 });
    progress.cover(lsn(0x300), { lsn: lsn(0x300), ordinal: 3 });
    expect(progress.checkpoint.position).toEqual({ lsn: 0x300n, ordinal: 2 });
    progress.cover(lsn(0x280), { lsn: lsn(0x280), ordinal: 9 });
    expect(progress.checkpoint.position).toEqual({ lsn: 0x300n, ordinal: 2 });
  });

  test('what a sink has of a transaction when it leaves: everything up to a seq', () => {
    const progress = new Progress(from);
    const tick = Snapshot.parse('702:702:');
    progress.offer({ snapshot: tick, lsn: lsn(0x180) });
    progress.cover(lsn(0x180), null);
    for (const [seq, txId, at] of [
      [1, 705n, 0],
      [2, 705n, 1],
      [5, 706n, 0],
      [6, 706n, 1],
    ] as const) {
      progress.inHand.offer(
        live(seq, txId, { lsn: lsn(0x200 + Number(txId - 705n) * 0x40), ordinal: at }),
        0,
      );
    }
    deliver(progress, [6]);
    expect(progress.asTable).toMatchObject({ mode: 'table', snapshot: tick, batch: null });
    expect([...progress.delivered]).toEqual([
      [705n, 2n],
      [706n, 5n],
    ]);
  });
});

describe('from the table into the WAL', () => {
  test('1 and 2: it is a checkpoint of the table until the pair with which it joined is passed', () => {
    const progress = new Progress(fromNothing);
    progress.offer({ snapshot: s2, lsn: lsn(0x50) });
    progress.inHand.offer(fromTable(loggedEvent(1)), -1);
    const end = { ...fromNothing, snapshot: s1 };
    progress.mark(end);
    progress.goLive({ snapshot: s1, lsn: lsn(0x200) });
    progress.inHand.offer(live(2, 715n, { lsn: lsn(0x180), ordinal: 0 }), 0);
    progress.cover(lsn(0x300), { lsn: lsn(0x300), ordinal: 0 });
    expect(progress.checkpoint).toBe(fromNothing);
    expect(progress.at(2)).toBe(end);
    deliver(progress, [1]);
    progress.cover(lsn(0x300), null);
    expect(progress.checkpoint).toBe(fromNothing);
    deliver(progress);
    expect(progress.checkpoint).toBe(end);
    expect(progress.asTable).toBe(end);
    expect([...progress.delivered]).toEqual([[715n, 2n]]);
    progress.cover(lsn(0x300), { lsn: lsn(0x300), ordinal: 0 });
    expect(progress.checkpoint).toEqual({
      ...fromNothing,
      mode: 'live',
      snapshot: s1,
      position: { lsn: 0x300n, ordinal: -1 },
    });
  });

  test('a tick that was taken before the sink joined and comes after it changes nothing', () => {
    const progress = new Progress(fromNothing);
    progress.inHand.offer(fromTable(loggedEvent(1, { txId: 705n })), -1);
    progress.mark({ ...fromNothing, snapshot: s1 });
    deliver(progress);
    progress.goLive({ snapshot: s1, lsn: lsn(0x200) });
    progress.offer({ snapshot: s0, lsn: lsn(0x180) });
    progress.cover(lsn(0x300), null);
    // Or else a sink that leaves now would read event 1 again, after what it had later.
    expect(progress.asTable.snapshot).toBe(s1);
    progress.offer({ snapshot: s0, lsn: lsn(0x200) });
    progress.cover(lsn(0x300), null);
    expect(progress.asTable.snapshot).toBe(s1);
  });
});

test('a sink that goes on after a restart and leaves repeats no event of an entity without all later ones', () => {
  const log = new SimulatedLog();
  const commit = (entity: string): LoggedEvent => {
    log.begin(1);
    return log.write(0, entity)?.events[0] as LoggedEvent;
  };
  const approved = commit('claim-1');
  // Delivered in the WAL, and stored by position; the snapshot that is stored beside it is older.
  const stored: Checkpoint = {
    ...fromNothing,
    mode: 'live',
    position: approved.position ?? beginning,
    snapshot: log.snapshot(),
  };
  log.show(0);
  const progress = new Progress(stored);
  const paid = commit('claim-1');
  log.show(0);
  progress.inHand.offer(paid, 0);
  deliver(progress);
  const { snapshot } = progress.asTable;
  const fromTheTable = [approved, paid].filter(({ txId, event }) => {
    const upTo = progress.delivered.get(txId);
    return !snapshot.sees(txId) && !(upTo !== undefined && event.seq <= upTo);
  });
  // Either both or none: the last thing that the sink hears of the claim must be that it is paid.
  expect(fromTheTable.at(-1)).not.toBe(approved);
});
