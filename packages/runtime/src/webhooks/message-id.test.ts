import fc from 'fast-check';
import { expect, test } from 'vitest';
import { eventIdOf, messageId } from './message-id.ts';

test('every UUID comes back; ids have one length, no full stop, and sort as the UUIDs do', () => {
  fc.assert(
    fc.property(fc.uuid(), fc.uuid(), (one, other) => {
      const id = messageId(one);
      expect(id).toMatch(/^msg_[\dA-Za-z]{22}$/);
      expect(eventIdOf(id)).toBe(one);
      expect(id < messageId(other)).toBe(one < other);
    }),
  );
});

test('the ends of the range', () => {
  expect(messageId('00000000-0000-0000-0000-000000000000')).toBe('msg_0000000000000000000000');
  const last = messageId('ffffffff-ffff-ffff-ffff-ffffffffffff');
  expect(eventIdOf(last)).toBe('ffffffff-ffff-ffff-ffff-ffffffffffff');
  // One more than the last UUID is no id.
  expect(eventIdOf(`msg_${'z'.repeat(22)}`)).toBeNull();
});

test('upper case is the same id', () => {
  const id = '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b';
  expect(messageId(id.toUpperCase())).toBe(messageId(id));
});

test.each([
  '',
  'msg_',
  'evt_0000000000000000000000',
  'msg_000000000000000000000',
  'msg_00000000000000000000.0',
])('not an id: %j', (text) => {
  expect(eventIdOf(text)).toBeNull();
});

test.each(['', '0199a1b2c3d47e5f8a9b0c1d2e3f4a5b', '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5g'])(
  'not a UUID: %j',
  (text) => {
    expect(() => messageId(text)).toThrow(TypeError);
  },
);
