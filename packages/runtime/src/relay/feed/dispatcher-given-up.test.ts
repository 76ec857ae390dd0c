import { afterEach, expect, test, vi } from 'vitest';
import { Bench } from './dispatcher-bench.suite.ts';

const minute = 60_000;

afterEach(() => {
  vi.useRealTimers();
});

/** Of event 1 the sink says `retry` for ever; of others what `others` says. */
function stuck(
  others: 'delivered' | 'retry',
  { afterMs = 10 * minute }: { readonly afterMs?: number } = {},
): { readonly bench: Bench; readonly pass: (ms: number, ...entities: string[]) => Promise<void> } {
  vi.useFakeTimers({ toFake: ['performance', 'Date'] });
  const bench = new Bench(({ event: { seq } }) => (seq === 1n ? 'retry' : others), {
    deadLetterAfterMs: afterMs,
  });
  bench.offer('stuck');
  return {
    bench,
    /** So long later: with a new event of each of the entities. */
    pass: async (ms, ...entities) => {
      vi.advanceTimersByTime(ms);
      bench.offer(...entities);
      await bench.step();
    },
  };
}

test('an event that is turned away for too long while others are taken becomes a dead letter, and its entity goes on', async () => {
  const { bench, pass } = stuck('delivered');
  await pass(0, 'a', 'stuck');
  for (let time = 0; time < 9; time += 1) await pass(minute, 'a');
  expect(bench.kept).toEqual([]);
  await pass(minute, 'a');
  expect(bench.kept).toEqual([1]);
  // Those of its entity, each at once.
  await pass(1, 'stuck');
  await pass(1);
  expect(bench.sink.delivered.slice(-2)).toEqual([3, bench.inHand.offered]);
  expect(bench.inHand.passed).toBe(bench.inHand.offered);
});

test("not where the sink takes nothing else: the trouble is not the event's", async () => {
  const { bench, pass } = stuck('retry');
  for (let time = 0; time < 60; time += 1) await pass(minute, `e${time}`);
  expect(bench.kept).toEqual([]);
});

test('nor where it has taken nothing since the first time, though it did before: it is away', async () => {
  const { bench, pass } = stuck('delivered');
  bench.sink.retryAfterMs = minute;
  // Others are taken with it, for the last time.
  await pass(0, 'a', 'b');
  for (let time = 0; time < 60; time += 1) await pass(minute);
  expect(bench.kept).toEqual([]);
  expect(bench.sink.batches.length).toBeGreaterThan(50);
});

test('where others were taken since, it need not be so still: the sink stands, and is given nothing else', async () => {
  const { bench, pass } = stuck('delivered');
  await pass(0);
  await pass(minute, 'a');
  for (let time = 0; time < 20; time += 1) await pass(minute);
  expect(bench.kept).toEqual([1]);
});

test('nor before it was turned away five times, however long that took', async () => {
  const { bench, pass } = stuck('delivered', { afterMs: minute });
  for (let time = 0; time < 4; time += 1) await pass(100 * minute, 'a');
  expect(bench.kept).toEqual([]);
  await pass(100 * minute, 'a');
  expect(bench.kept).toEqual([1]);
});

test('nor where nobody asked for it', async () => {
  vi.useFakeTimers({ toFake: ['performance', 'Date'] });
  const bench = new Bench(({ event: { seq } }) => (seq === 1n ? 'retry' : 'delivered'));
  bench.offer('stuck');
  for (let time = 0; time < 20; time += 1) {
    vi.advanceTimersByTime(100 * minute);
    await bench.offer('a').step();
  }
  expect(bench.kept).toEqual([]);
});

test('the end of an outage makes no letters of what waited through it, though others are taken before', async () => {
  vi.useFakeTimers({ toFake: ['performance', 'Date'] });
  // 3 of a great many find room; then there is none again.
  let taken: readonly number[] = [];
  const bench = new Bench(({ event: { seq } }) => (taken.includes(Number(seq)) ? 'delivered' : 'retry'), {
    deadLetterAfterMs: 10 * minute,
  });
  const pass = async (ms: number, ...entities: string[]): Promise<void> => {
    vi.advanceTimersByTime(ms);
    bench.offer(...entities);
    await bench.step();
  };
  taken = [1];
  await pass(0, 'before');
  taken = [];
  for (let time = 0; time < 60; time += 1) await pass(minute, `e${time}`);
  taken = [5];
  await pass(minute);
  taken = [];
  for (let time = 0; time < 9; time += 1) await pass(minute);
  expect(bench.kept).toEqual([]);
  // What is turned away still, so long after others were taken again, is given up.
  await pass(minute);
  expect(bench.kept).toHaveLength(59);
});

test('nor does its beginning, where one was taken behind the first that was not', async () => {
  vi.useFakeTimers({ toFake: ['performance', 'Date'] });
  const bench = new Bench(({ event: { seq } }) => (seq === 1n || seq === 3n ? 'delivered' : 'retry'), {
    deadLetterAfterMs: minute,
  });
  for (const entities of [['a'], ['b'], ['c'], ['d']]) {
    vi.advanceTimersByTime(10);
    await bench.offer(...entities).step();
  }
  for (let time = 0; time < 60; time += 1) {
    vi.advanceTimersByTime(minute);
    await bench.step();
  }
  expect(bench.sink.delivered).toEqual([1, 3]);
  expect(bench.kept).toEqual([]);
});
