import { expect, test } from 'vitest';
import { planOf } from './retention-options.ts';

const dayMs = 86_400_000;
const connectionString = 'postgres://';

test('without options: 30 days, 90 for what is not read, a year for replays', () => {
  const plan = planOf({ connectionString });
  const month = 30 * dayMs;
  expect(plan).toMatchObject({
    outboxMs: month,
    maxMs: 90 * dayMs,
    attemptMs: month,
    inboxMs: month,
    tickMs: month,
    replayMs: 365 * dayMs,
  });
});

test('the maximum follows where more days are asked for, and is refused where it is less', () => {
  expect(planOf({ connectionString, outboxDays: 120 }).maxMs).toBe(120 * dayMs);
  expect(() => planOf({ connectionString, outboxDays: 30, maxDays: 29 })).toThrow(RangeError);
});

test.each([0, -1, Number.NaN, 0.5])('%d days are refused', (days) => {
  for (const name of ['outboxDays', 'attemptDays', 'inboxDays', 'tickDays', 'replayDays']) {
    expect(() => planOf({ connectionString, [name]: days })).toThrow(RangeError);
  }
});
