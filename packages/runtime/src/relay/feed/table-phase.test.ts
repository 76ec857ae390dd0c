import { afterEach, expect, test, vi } from 'vitest';
import { Snapshot } from '../../log/snapshot.ts';
import type { Moment, TablePage, TableReader } from '../../log/table-reader.ts';
import { zeroLsn } from '../../replication/lsn.ts';
import { silentLogger } from '../../telemetry/logger.ts';
import type { Dispatcher } from './dispatcher.ts';
import { fromNothing, fromTable, loggedEvent } from './event-fixture.suite.ts';
import type { FeedState } from './feed.ts';
import { Progress } from './progress.ts';
import { readTable } from './table-phase.ts';
import { Window } from './window.ts';

const [pollMs, lookMs] = [100, 30];

afterEach(() => vi.restoreAllMocks());

/** A sink that polls by a clock that stands still but for the looks: how long it waits after each of them. */
async function waitsAfter(looks: readonly number[]): Promise<number[]> {
  let [clock, seq, looked] = [0, 0, 0];
  vi.spyOn(performance, 'now').mockImplementation(() => clock);
  const stopping = new AbortController();
  const waits: number[] = [];
  const progress = new Progress(fromNothing);
  const { inHand } = progress;
  const reader = {
    batchEnd: async (): Promise<Moment> => {
      const xmax = 1_000 + looked;
      const snapshot = Snapshot.parse(`${xmax}:${xmax}:`);
      return { snapshot, lsn: zeroLsn, flushed: true, latest: true, at: 0 };
    },
    async *read(): AsyncGenerator<TablePage, void, undefined> {
      clock += lookMs;
      const found = looks[looked] ?? 0;
      looked += 1;
      const events = Array.from({ length: found }, () => fromTable(loggedEvent((seq += 1))));
      if (found > 0) yield { events, lastSeq: BigInt(seq) };
    },
  };
  const state: Partial<FeedState> = {
    progress,
    pollMs,
    inHandBytes: 1_000_000,
    logger: silentLogger,
    paused: false,
    delivered: new Map(),
    reader: reader as unknown as TableReader,
    // Nobody reads the WAL.
    window: new Window(1),
    dispatcher: {
      wait: async (_inHand, { ms }) => {
        waits.push(ms ?? Number.NaN);
        if (looked === looks.length) stopping.abort();
      },
    } as Partial<Dispatcher> as Dispatcher,
    step: async ({ stopping: { aborted } }) => {
      if (aborted) return 'given-up';
      const batch = inHand.next(clock, { events: 1_000, bytes: 1_000_000 });
      inHand.settle(
        batch,
        batch.map(() => ({ type: 'delivered' as const })),
        clock,
      );
      return batch.length > 0 ? 'done' : 'none';
    },
    save: async () => undefined,
  };
  await readTable(state as FeedState, { stopping: stopping.signal, aborted: stopping.signal });
  expect(inHand.passed).toBe(seq);
  return waits;
}

/** From the beginning of one look to that of the next, in intervals. */
async function intervalsAfter(looks: readonly number[]): Promise<number[]> {
  return (await waitsAfter(looks)).map((ms) => (ms + lookMs) / pollMs);
}

const nothing = (times: number): number[] => Array.from({ length: times }, () => 0);

test('while nothing is found the looks become rarer, one interval at a time, up to ten', async () => {
  expect(await intervalsAfter(nothing(14))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10, 10, 10]);
});

test('with the first event the shortest interval is back, and the looks become rarer from there', async () => {
  expect(await intervalsAfter([...nothing(12), 1, ...nothing(3)])).toEqual([
    ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10],
    ...[1, 1, 2, 3],
  ]);
});

test('while events come, it looks at every interval', async () => {
  expect(await intervalsAfter([3, 1, 999, 2, 7])).toEqual([1, 1, 1, 1, 1]);
});

test('after a large batch it does not wait at all', async () => {
  // With the third look it has everything.
  expect(await intervalsAfter([1_000, 5_000, 3])).toEqual([1]);
});
