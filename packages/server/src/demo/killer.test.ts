import { expect, test } from 'vitest';
import { killsWithBacklog } from './killer.ts';

test('a kill counts when fewer events had arrived at its moment than were committed, whenever that was known', () => {
  const arrivals = [10, 12, 30];
  expect(killsWithBacklog([{ at: 20, committed: 3 }], arrivals)).toBe(1);
  expect(killsWithBacklog([{ at: 20, committed: 2 }], arrivals)).toBe(0);
  expect(
    killsWithBacklog(
      [
        { at: 9, committed: 1 },
        { at: 30, committed: 3 },
      ],
      arrivals,
    ),
  ).toBe(1);
  expect(killsWithBacklog([], arrivals)).toBe(0);
});
