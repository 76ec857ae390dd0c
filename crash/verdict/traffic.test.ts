import { expect, test } from 'vitest';
import { Traffic } from './traffic.ts';

test('in flight at a moment is what was acknowledged before and came after, or never', () => {
  const traffic = new Traffic();
  traffic.acknowledge(['a', 'b', 'c'], 10);
  traffic.arrive('a', 15);
  traffic.acknowledge(['d'], 30);
  traffic.arrive('b', 25);
  expect([9, 12, 20, 28, 31].map((at) => traffic.inFlightAt(at))).toEqual([0, 3, 2, 1, 2]);
  expect(traffic.outstanding).toBe(2);
  // To another place a came late, b soon, c just then; d never.
  const elsewhere = new Map([
    ['a', 29],
    ['b', 11],
    ['c', 20],
  ]);
  expect([9, 12, 20, 28, 29, 31].map((at) => traffic.inFlightAt(at, elsewhere))).toEqual([0, 3, 3, 2, 1, 2]);
});

test('an event that comes before its COMMIT is answered is never outstanding, and a second arrival changes nothing', () => {
  const traffic = new Traffic();
  traffic.arrive('a', 5);
  traffic.acknowledge(['a'], 6);
  traffic.arrive('a', 9);
  expect(traffic.outstanding).toBe(0);
  expect(traffic.inFlightAt(7)).toBe(0);
  expect(traffic.lastArrivalAt).toBe(5);
  expect(traffic.arrived).toBe(1);
});
