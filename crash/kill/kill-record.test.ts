import { expect, test } from 'vitest';
import { countKills, failpointTable, type KillRecord, shortOf } from './kill-record.ts';

const records: readonly KillRecord[] = [
  { at: 1, targets: ['relay'], failpoint: 'a' },
  { at: 2, targets: ['relay'], failpoint: 'a' },
  { at: 3, targets: ['relay', 'postgres'], failpoint: undefined },
  { at: 4, targets: ['receiver'], failpoint: undefined },
  { at: 5, targets: ['relay'], failpoint: undefined, frozen: true },
];
/** At 2 nothing was on its way. */
const inFlightAt = (at: number): number => (at === 2 ? 0 : 5);

test('kills are counted whole, by what was killed, and with work in flight', () => {
  expect(countKills(records, inFlightAt)).toEqual({
    kills: 5,
    killsInFlight: 4,
    freezes: 1,
    byTarget: { relay: 4, postgres: 1, receiver: 1, nats: 0 },
  });
});

test('a failpoint that was never reached, or only while nothing was on its way, is short', () => {
  const table = failpointTable(records, { failpoints: ['a', 'b'], inFlightAt });
  expect(table).toEqual([
    { failpoint: 'a', kills: 2, inFlight: 1 },
    { failpoint: 'b', kills: 0, inFlight: 0 },
  ]);
  expect(shortOf(1, table)).toEqual(['b']);
  expect(shortOf(2, table)).toEqual(['a', 'b']);
  expect(shortOf(0, table)).toEqual([]);
});
