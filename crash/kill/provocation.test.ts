import { expect, test } from 'vitest';
import { isReachable, provocationFor } from './provocation.ts';

test('a failpoint that load alone does not reach is provoked', () => {
  const ways = (failpoint: string): string[] => [0, 1].map((turn) => provocationFor(failpoint, turn));
  expect(ways('webhooks.sent')).toEqual(['none', 'none']);
  expect(ways('relay.tick')).toEqual(['none', 'none']);
  expect(ways('slot.created')).toEqual(['drop-slot', 'drop-slot']);
  expect(ways('prune.detached')).toEqual(['expire-day', 'expire-day']);
  expect(ways('retention.begun')).toEqual(['expire-day', 'expire-day']);
  expect(ways('seam.fall-out')).toEqual(['pause-sinks', 'pause-sinks']);
  expect(ways('seam.join')).toEqual(['pause-sinks', 'drop-slot']);
  expect(ways('table.page')).toEqual(['pause-sinks', 'drop-slot']);
});

test('failpoints that a run cannot reach are known', () => {
  const reached = (sources: 'wal' | 'table'): string[] =>
    ['slot.created', 'seam.join', 'table.page', 'relay.tick'].filter((name) => isReachable(name, sources));
  expect(reached('wal')).toEqual(['slot.created', 'seam.join', 'table.page', 'relay.tick']);
  expect(reached('table')).toEqual(['table.page', 'relay.tick']);
});
