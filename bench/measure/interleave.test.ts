import { expect, test } from 'vitest';
import { interleave, type Side } from './interleave.ts';

test('sides take turns by slices, in the other order each time, and do the same number of transactions', async () => {
  const order: string[] = [];
  const side = (name: string): Side => ({
    name,
    async once(lane) {
      order.push(`${name}${lane}`);
      return { transaction: 2, call: 1 };
    },
  });
  const results = await interleave([side('a'), side('b')], { slices: 2, perSlice: 2, lanes: 1 });
  expect(order.join(' ')).toBe('a0 a0 b0 b0 b0 b0 a0 a0');
  expect(results.get('a')).toMatchObject({ transaction: 2_000, call: 1_000 });
});

test('several lanes share a slice; none does more than is left', async () => {
  const lanes: number[] = [];
  const side: Side = {
    name: 'a',
    async once(lane) {
      lanes.push(lane);
      return { transaction: 1, call: 1 };
    },
  };
  await interleave([side], { slices: 1, perSlice: 5, lanes: 3 });
  expect(lanes).toHaveLength(5);
  expect(new Set(lanes)).toEqual(new Set([0, 1, 2]));
});
