import fc from 'fast-check';
import { expect, test } from 'vitest';
import { plays, Way } from './progress-model.suite.ts';

test('1 and 2 hold, and leaving the WAL loses and repeats nothing, for any pages, batches, ticks and failures', () => {
  fc.assert(
    fc.property(plays, (play) => {
      const way = new Way();
      for (const { op, n, fails } of play) expect(way.do(op, n, fails)).toEqual([]);
    }),
    { numRuns: 2_000 },
  );
});
