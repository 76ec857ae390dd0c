import { expect, test } from 'vitest';
import { killPlan } from './kill-plan.ts';

test.each([400, 1_000, 20_000, 100_000])(
  'in a run of %i events there are more than five, all before the end',
  (events) => {
    for (const seed of [1, 2, 3]) {
      const plan = killPlan({ events, seed });
      expect(plan.length).toBeGreaterThan(5);
      expect(plan.length).toBeLessThanOrEqual(32);
      const moments = plan.map(({ received }) => received);
      expect(moments).toEqual(moments.toSorted((one, other) => one - other));
      expect(moments.at(-1)).toBeLessThan(events * 0.98);
      for (const kill of plan) expect(kill.committedAtMost).toBeGreaterThan(kill.received);
    }
  },
);

test('a short run has few kills, each costing a restart', () => {
  expect(killPlan({ events: 150, seed: 1 })).toHaveLength(4);
  expect(killPlan({ events: 1, seed: 1 })).toHaveLength(1);
});

test('a longer run has more kills, and the same seed has the same', () => {
  expect(killPlan({ events: 20_000, seed: 1 }).length).toBeGreaterThan(
    killPlan({ events: 1_000, seed: 1 }).length,
  );
  expect(killPlan({ events: 1_000, seed: 1 })).toEqual(killPlan({ events: 1_000, seed: 1 }));
  expect(killPlan({ events: 1_000, seed: 1 })).not.toEqual(killPlan({ events: 1_000, seed: 2 }));
});
