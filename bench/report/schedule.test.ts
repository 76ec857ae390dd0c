import { expect, test } from 'vitest';
import { type Experiment, experiment } from '../measure/experiment.ts';
import { scheduleOf } from './schedule.ts';

function expected(name: string, runs: number, expectedSeconds: number): Experiment {
  return experiment({
    ...{ name, ids: [name], runs, expectedSeconds },
    once: async () => undefined,
    figuresOf: () => [],
  });
}

test('what is running is said, and the rest is estimated by what was taken so far', () => {
  const [a, b] = [expected('A', 2, 10), expected('B', 2, 100)] as const;
  const lines: string[] = [];
  let now = 5_000;
  const schedule = scheduleOf([a, b], { progress: (line) => lines.push(line), now: () => now });
  const run = (each: Experiment, index: number, seconds: number): void => {
    schedule.starting(each, index);
    now += 1_000 * seconds;
    schedule.done(each);
  };
  run(a, 0, 20);
  run(a, 1, 20);
  run(b, 0, 150);
  schedule.starting(b, 1);
  expect(lines).toEqual([
    '2 experiments, 4 runs, about 4 min: A (2), B (2)',
    'A: run 1 of 2; 0 of 4 done, about 4 min to go',
    // Twice as long as expected: so will the others.
    'A: run 2 of 2; 1 of 4 done, 20 s so far, about 7 min to go',
    'B: run 1 of 2; 2 of 4 done, 40 s so far, about 7 min to go',
    // By itself: as long as its own first run.
    'B: run 2 of 2; 3 of 4 done, 3 min so far, about 3 min to go',
  ]);
});

test('what broke off takes no more time', () => {
  const [a, b] = [expected('A', 9, 100), expected('B', 1, 10)] as const;
  const lines: string[] = [];
  const schedule = scheduleOf([a, b], { progress: (line) => lines.push(line), now: () => 0 });
  schedule.starting(a, 0);
  schedule.brokeOff(a, 'the server is gone');
  schedule.starting(b, 0);
  expect(lines.slice(2)).toEqual([
    'A: broke off: the server is gone',
    'B: run 1 of 1; 0 of 10 done, about 10 s to go',
  ]);
});
