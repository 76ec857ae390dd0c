import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decideStatus, type StatusSituation, statusInterval } from './status-timing.ts';

const situation = (given: Partial<StatusSituation>): StatusSituation => ({
  now: 100_000,
  sentAt: 100_000,
  readAt: 100_000,
  paused: false,
  asked: 0,
  intervalMs: 1_000,
  timeoutMs: 10_000,
  ...given,
});

test('a status goes out in less than half of the timeout, however seldom it is wished for', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 10, max: 1e6 }), (wished, timeout) => {
      const interval = statusInterval(wished, timeout);
      expect(interval).toBeLessThan(timeout / 2);
      expect(interval).toBeLessThanOrEqual(wished);
      expect(interval).toBeGreaterThanOrEqual(1);
    }),
  );
  expect(statusInterval(5_000, 0)).toBe(5_000);
});

describe('at a tick', () => {
  test('it waits until the interval has passed', () => {
    expect(decideStatus(situation({ sentAt: 99_001 }))).toBe('wait');
    expect(decideStatus(situation({ sentAt: 99_000 }))).toBe('send');
  });

  test('it sends while the consumer lags, and takes silence for nothing then', () => {
    expect(decideStatus(situation({ sentAt: 0, readAt: 0, paused: true, asked: 9 }))).toBe('send');
  });

  test('it asks after half of the timeout without a byte', () => {
    expect(decideStatus(situation({ sentAt: 0, readAt: 95_001 }))).toBe('send');
    expect(decideStatus(situation({ sentAt: 0, readAt: 95_000 }))).toBe('ask');
  });

  test('it gives up after the timeout, but only when several demands went unanswered', () => {
    expect(decideStatus(situation({ sentAt: 0, readAt: 90_000, asked: 3 }))).toBe('dead');
    expect(decideStatus(situation({ sentAt: 0, readAt: 90_001, asked: 3 }))).toBe('ask');
    // Our own process stood still: the answer may lie in the socket.
    expect(decideStatus(situation({ sentAt: 0, readAt: 0, asked: 1 }))).toBe('ask');
  });

  test('without a timeout it neither asks nor gives up', () => {
    expect(decideStatus(situation({ sentAt: 0, readAt: 0, asked: 9, timeoutMs: 0 }))).toBe('send');
  });
});
