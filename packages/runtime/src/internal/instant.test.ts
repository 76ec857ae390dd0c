import { expect, test } from 'vitest';
import { parseInstant } from './instant.ts';

test.each([
  ['2026-11-20', '2026-11-20T00:00:00.000Z'],
  ['2026-11-20T09:10Z', '2026-11-20T09:10:00.000Z'],
  ['2026-11-20T09:10:00.123456-03:00', '2026-11-20T12:10:00.123456Z'],
  ['2024-02-29', '2024-02-29T00:00:00.000Z'],
])('%s is a time', (text, instant) => {
  expect(parseInstant(text)).toBe(instant);
});

test.each([
  '',
  'yesterday',
  '2026-02-29',
  '2026-02-31T10:00:00Z',
  '2026-13-01',
  '2026-11-20T10:00:00',
  '2026-11-20 10:00:00Z',
  '2026-11-20T24:30:00Z',
  '1969-12-31',
])('%j is none', (text) => {
  expect(parseInstant(text)).toBeUndefined();
});
