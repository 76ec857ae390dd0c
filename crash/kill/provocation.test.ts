import { describe, expect, test } from 'vitest';
import { failpointsToHit, provocationFor } from './provocation.ts';

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
  expect(ways('replay.handed')).toEqual(['replay', 'replay']);
  expect(ways('redrive.taken')).toEqual(['redrive', 'redrive']);
  expect(ways('rewind.applied')).toEqual(['rewind', 'rewind']);
});

describe('the failpoints of a run', () => {
  const found = ['slot.created', 'seam.join', 'table.page', 'relay.tick'];
  const orders: [] = [];

  test('are all that it can reach', () => {
    expect(failpointsToHit(found, { sources: 'wal', only: undefined, orders })).toEqual(found);
    expect(failpointsToHit(found, { sources: 'table', only: undefined, orders })).toEqual([
      'table.page',
      'relay.tick',
    ]);
  });

  test('are those that are asked for; one that would never be hit is refused', () => {
    expect(failpointsToHit(found, { sources: 'wal', only: ['seam.join'], orders })).toEqual(['seam.join']);
    expect(() =>
      failpointsToHit(found, { sources: 'table', only: ['relay.tick', 'seam.join'], orders }),
    ).toThrow('there is no failpoint seam.join from the table; there are table.page, relay.tick');
    expect(() => failpointsToHit(found, { sources: 'wal', only: ['relay.tock'], orders })).toThrow(
      'relay.tock',
    );
  });

  test('are those of what is ordered in it', () => {
    const some = ['replay.handed', 'redrive.taken', 'rewind.applied'];
    const of = { sources: 'table', only: undefined } as const;
    expect(failpointsToHit(some, { ...of, orders: ['rewind', 'replay'] })).toEqual([
      'replay.handed',
      'rewind.applied',
    ]);
    expect(() => failpointsToHit(some, { ...of, only: ['redrive.taken'], orders: ['replay'] })).toThrow(
      'there is no failpoint redrive.taken',
    );
  });
});
