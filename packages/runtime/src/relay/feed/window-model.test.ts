import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Play, plays } from './window-model.suite.ts';

describe('1 to 3 hold for transactions that are visible later than they are in the WAL, sinks that come and go, and processes', () => {
  test.each([
    ['with a snapshot that was taken while the window was pinned', true],
    ['with any snapshot, as that of an older tick', false],
  ])('%s', (_how, pinsFirst) => {
    fc.assert(
      fc.property(plays, fc.integer({ min: 2, max: 12 }), (play, limit) => {
        const run = new Play(limit, pinsFirst);
        for (const { op, ...on } of play) run.do(op, on);
        expect(run.end().flat()).toEqual([]);
      }),
      { numRuns: 3_000 },
    );
  });
});
