import { expect, test } from 'vitest';
import { nearestName } from './nearest-name.ts';

test.each([
  ['nmae', 'name'],
  ['NAME', 'name'],
  ['poll_ms', 'pollMs'],
  ['pollMS', 'pollMs'],
  ['shard', 'shards'],
  ['outboxday', 'outboxDays'],
  ['x', undefined],
  ['certificates', undefined],
  ['', undefined],
])('%j means %j', (given, meant) => {
  expect(nearestName(given, ['name', 'pollMs', 'shards', 'outboxDays'])).toBe(meant);
});

test('the nearest, not the first that is near', () => {
  expect(nearestName('hosts', ['ports', 'host'])).toBe('host');
});
