import { expect, test } from 'vitest';
import { runExperiments } from '../measure/experiment.ts';
import type { StoppedSink } from './stopped-sink.ts';
import { stoppedSinkExperiment } from './stopped-sink-experiment.ts';

const working: StoppedSink = {
  p99OfParts: [10, 10, 10, 20],
  mostUnconfirmed: 5,
  mostKept: 20,
  mostMemory: 100,
  caughtUpIn: 0.1,
  lost: 0,
  reordered: 0,
  duplicates: 0,
};

test('a stopped sink and both at work in turns; each figure of the stopped one, against its own run’s reference', async () => {
  const asked: boolean[] = [];
  const found: ReadonlyArray<Readonly<Record<'stopped' | 'working', StoppedSink>>> = [
    { working, stopped: { ...working, p99OfParts: [15, 15, 15, 15], caughtUpIn: 9, mostMemory: 256 } },
    // A slow minute: both sides are slow in it.
    {
      working: { ...working, p99OfParts: [100, 100, 100, 100] },
      stopped: { ...working, p99OfParts: [120, 120, 120, 120], caughtUpIn: 8, lost: 1, mostMemory: 300 },
    },
    { working, stopped: { ...working, p99OfParts: [14, 14, 14, 14], mostUnconfirmed: 10, mostMemory: 200 } },
  ];
  const experiment = stoppedSinkExperiment({
    ...{ runs: 3, events: 1_000_000, perSecond: 5_000 },
    async measure(stopped) {
      const run = found[Math.floor(asked.length / 2)];
      asked.push(stopped);
      if (run === undefined) throw new Error('more often than it has runs');
      return run[stopped ? 'stopped' : 'working'];
    },
  });
  const nothing = (): undefined => undefined;
  const quiet = { starting: nothing, done: nothing, repeating: nothing, brokeOff: nothing };
  const { figures, failures } = await runExperiments([experiment], quiet);
  expect(failures).toEqual([]);
  expect(asked).toEqual([true, false, false, true, true, false]);
  expect(figures.map(({ id, value, reference, ratio, met }) => [id, value, reference, ratio, met])).toEqual([
    ['stopped-p99', 15, 10, 1.4, true],
    ['stopped-p99-growth', 1, 2, 0.5, null],
    ['stopped-unconfirmed', 5, 5, 1, null],
    ['stopped-kept', 20, 20, 1, null],
    ['stopped-memory', 300, null, null, false],
    ['stopped-caught-up', 8, null, null, null],
    ['stopped-lost', 1, null, null, false],
    ['stopped-reordered', 0, null, null, true],
    ['stopped-twice', 0, null, null, null],
  ]);
  expect(figures.every(({ runs }) => runs === 3)).toBe(true);
});
