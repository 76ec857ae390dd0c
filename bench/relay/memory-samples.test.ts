import { expect, test } from 'vitest';
import { MemorySamples } from './memory-samples.ts';

test('the most is that of all phases; a mean begins at its own, without its first third', async () => {
  const values = [300, 100, 900, 400, 110, 120, 130, 140, 150];
  const all = Promise.withResolvers<undefined>();
  let index = 0;
  await using samples = new MemorySamples(async () => {
    const value = values[index];
    index += 1;
    if (value !== undefined) return value;
    all.resolve(undefined);
    // What is looked at has ended.
    throw new Error('gone');
  }, 0);
  await all.promise;
  expect(samples.count).toBe(values.length);
  expect(samples.most).toBe(900);
  expect(samples.meanSince(3)).toBe((120 + 130 + 140 + 150) / 4);
});
