import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { defaultRetrySchedule, parseRetryAfter, retryDelay } from './retry-schedule.ts';

describe('retryDelay', () => {
  test('the default: nine repetitions over 75 h 35 min, then dead', () => {
    const options = { random: () => 0.5 };
    const delays = defaultRetrySchedule.map((_, index) =>
      retryDelay({ attempt: index + 1, retryAfterMs: null }, options),
    );
    expect(delays).toEqual(defaultRetrySchedule);
    expect(defaultRetrySchedule.reduce((sum, delay) => sum + delay, 0)).toBe(
      ((75 * 60 + 35) * 60 + 5) * 1_000,
    );
    expect(retryDelay({ attempt: 10, retryAfterMs: null }, options)).toBeNull();
    expect(retryDelay({ attempt: 10, retryAfterMs: 5_000 }, options)).toBeNull();
  });

  test('jitter stays within its part, and reaches both sides', () => {
    const at = (random: number): number | null =>
      retryDelay({ attempt: 1, retryAfterMs: null }, { delaysMs: [1_000], random: () => random });
    expect([at(0), at(0.5), at(1)]).toEqual([800, 1_000, 1_200]);
  });

  test('Retry-After only lengthens, up to its bound', () => {
    fc.assert(
      fc.property(
        fc.nat(10_000),
        fc.nat(1_000_000),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (step, asked, random) => {
          const options = { delaysMs: [step], random: () => random, maxRetryAfterMs: 60_000 };
          const plain = retryDelay({ attempt: 1, retryAfterMs: null }, options);
          const delay = retryDelay({ attempt: 1, retryAfterMs: asked }, options);
          expect(delay).toBe(Math.max(plain ?? -1, Math.min(asked, 60_000)));
        },
      ),
    );
  });
});

describe('parseRetryAfter', () => {
  const now = Date.parse('2026-11-20T10:00:00Z');
  test.each([
    ['120', 120_000],
    [' 0 ', 0],
    ['Fri, 20 Nov 2026 10:01:00 GMT', 60_000],
    ['Friday, 20-Nov-26 10:01:00 GMT', 60_000],
    ['Fri, 20 Nov 2026 09:59:00 GMT', null],
    ['-1', null],
    ['1.5', null],
    ['soon', null],
    ['99999999999999999999', null],
    ['2027', 2_027_000],
    [undefined, null],
  ])('%j', (value, expected) => {
    expect(parseRetryAfter(value, now)).toBe(expected);
  });
});
