import { expect, test } from 'vitest';
import { RepeatedSignal } from './repeated-signal.ts';

test('a SIGINT that comes again within a second is the same Ctrl-C; later it is another', () => {
  const signals = new RepeatedSignal();
  const heard = [10, 11, 500, 1_009, 1_010, 1_500, 2_010].map((at) => signals.isEcho('SIGINT', at));
  expect(heard).toEqual([false, true, true, true, false, true, false]);
});

test('SIGTERM is sent by somebody who means it: each counts', () => {
  const signals = new RepeatedSignal();
  expect([1, 1, 2].map((at) => signals.isEcho('SIGTERM', at))).toEqual([false, false, false]);
  expect(signals.isEcho('SIGINT', 3)).toBe(false);
});
