import { expect, test } from 'vitest';
import { inTurns } from './in-turns.ts';

test('each side has its turn, one at a time, in the other order every second run; answers stay in their places', async () => {
  const order: string[] = [];
  const side = (name: string) => async () => {
    order.push(`${name} begins`);
    await Promise.resolve();
    order.push(`${name} ends`);
    return name;
  };
  const sides = [side('a'), side('b'), side('c')] as const;
  expect(await inTurns(0, sides)).toEqual(['a', 'b', 'c']);
  expect(await inTurns(1, sides)).toEqual(['a', 'b', 'c']);
  const turn = (...names: string[]): string[] => names.flatMap((name) => [`${name} begins`, `${name} ends`]);
  expect(order).toEqual([...turn('a', 'b', 'c'), ...turn('c', 'b', 'a')]);
});
