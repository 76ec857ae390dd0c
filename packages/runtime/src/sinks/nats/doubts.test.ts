import { expect, test } from 'vitest';
import { Doubts } from './doubts.ts';

const unknown = { type: 'unknown', error: new Error('no answer') } as const;
const fault = { fault: 'maximum control line exceeded' };

test('without an answer a message goes one by one, until it is settled', () => {
  const doubts = new Doubts();
  expect(doubts.careOf('a')).toBe('free');
  for (let time = 0; time < 5; time += 1) doubts.note('a', unknown, undefined);
  expect(doubts.careOf('a')).toBe('one by one');
  doubts.note('a', { type: 'unsent' }, undefined);
  expect(doubts.careOf('a')).toBe('one by one');
  doubts.note('a', { type: 'stored', duplicate: true }, undefined);
  expect(doubts.careOf('a')).toBe('free');
});

test('what is refused goes one by one, for it would refuse an atomic batch again', () => {
  const doubts = new Doubts();
  doubts.note('a', { type: 'refused', code: 403, description: 'not you' }, { fault: 'too long' });
  expect([doubts.careOf('a'), doubts.endingsOf('a')]).toEqual(['one by one', 0]);
});

test('a server that ends connections without a word makes nothing poison, however often', () => {
  const doubts = new Doubts();
  doubts.note('a', unknown, { fault: undefined });
  expect(doubts.careOf('a')).toBe('one by one');
  for (let time = 0; time < 9; time += 1) doubts.note('a', unknown, { fault: undefined });
  expect([doubts.careOf('a'), doubts.poisonOf('a'), doubts.endingsOf('a')]).toEqual(['alone', undefined, 10]);
});

test('what the server ended the connection over twice, when it was alone, is poison', () => {
  const doubts = new Doubts();
  // In company.
  doubts.note('a', unknown, fault);
  expect(doubts.careOf('a')).toBe('alone');
  doubts.note('a', unknown, fault);
  doubts.note('a', unknown, { fault: undefined });
  expect(doubts.poisonOf('a')).toBeUndefined();
  doubts.note('a', unknown, fault);
  expect(doubts.poisonOf('a')).toBe('the server ended the connection over it: maximum control line exceeded');
  doubts.forget('a');
  expect(doubts.careOf('a')).toBe('free');
});
