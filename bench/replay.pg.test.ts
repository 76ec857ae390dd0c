import { expect, test } from 'vitest';
import { replayBench } from './replay.ts';

test('npm run bench -- replay, small: a tenth once more, through a kill -9, each counted once', {
  timeout: 300_000,
}, async () => {
  const told: string[] = [];
  const { figures, failures } = await replayBench.run({
    ...{ runs: 1, events: 8_000 },
    progress: (line) => told.push(line),
  });
  expect(failures).toEqual([]);
  expect(told.some((line) => /^killed after \d+ events/.test(line))).toBe(true);
  const counted = figures.filter(({ budget }) => budget === 0).map(({ id, value }) => [id, value]);
  expect(counted).toEqual([
    ['replay-lost', 0],
    ['replay-phantom', 0],
    ['replay-reordered', 0],
    ['replay-miscounted', 0],
  ]);
});
