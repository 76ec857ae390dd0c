import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type LeaseRow, type LeaseUnit, leaseKey, signOfLife } from './lease.ts';
import { type LeaseView, leaseShare, nextLookMs } from './lease-share.ts';

const uuid = (index: number): string =>
  `${(index * 2_654_435_761).toString(16).padStart(8, '0').slice(-8)}-0`;
const units = (count: number): LeaseUnit[] =>
  Array.from({ length: count }, (_, shard) => ({ sink: 's', shard }));
const row = (unit: LeaseUnit, holder: string, remainingMs = 3_000): LeaseRow => ({
  ...{ unit, holder, remainingMs, holderName: 'host:1', epoch: 1n },
});
const view = (part: Partial<LeaseView>): LeaseView => ({
  ...{ wanted: [], rows: [], replica: uuid(1), held: new Set<string>(), resting: new Set<string>() },
  ...part,
});

test('a replica alone takes all; expired signs of life do not count', () => {
  const wanted = units(3);
  const rows = [row(signOfLife(uuid(2)), uuid(2), -1), row(wanted[0]!, uuid(2), 0)];
  const share = leaseShare(view({ wanted, rows }));
  expect(share).toMatchObject({ living: 1, share: 3, surplus: 0 });
  expect(share.take.map(leaseKey).toSorted()).toEqual(['s/0', 's/1', 's/2']);
});

test('what another holds, what rests and what is held already is not taken; what is ours unknown to us is', () => {
  const wanted = units(4);
  const rows = [row(wanted[0]!, uuid(2)), row(wanted[3]!, uuid(1))];
  const share = leaseShare(view({ wanted, rows, held: new Set(['s/1']), resting: new Set(['s/2']) }));
  expect(share.take.map(leaseKey)).toEqual(['s/3']);
});

test('a standby of one unit may have it as well as its holder', () => {
  const rows = [row(signOfLife(uuid(2)), uuid(2))];
  expect(leaseShare(view({ wanted: units(1), rows }))).toMatchObject({ living: 2, share: 1 });
});

test('who looks after another sort of units takes no share of these', () => {
  const wanted = units(3);
  const rows = [row(signOfLife(uuid(2), '#webhooks'), uuid(2)), row(signOfLife(uuid(1)), uuid(1))];
  expect(leaseShare(view({ wanted, rows }))).toMatchObject({ living: 1, share: 3 });
  expect(leaseShare(view({ wanted, rows, group: '#webhooks' }))).toMatchObject({ living: 2, share: 2 });
});

test('the next look comes when the lease of another ends, not when our own or a foreign one does', () => {
  const wanted = units(2);
  const rows = [row(wanted[0]!, uuid(2), 120.4), row(wanted[1]!, uuid(1), 5), row(units(3)[2]!, uuid(2), 7)];
  expect(nextLookMs(view({ wanted, rows, held: new Set(['s/1']) }), 500)).toBe(122);
  expect(nextLookMs(view({ wanted, rows: [row(wanted[0]!, uuid(2), -5)] }), 500)).toBe(500);
});

/** Replicas that look one after another in any order, come and go; then nobody comes or goes any more. */
test('replicas that come and go end up with everything held, and nobody above the fair share', () => {
  const action = fc.record({ replica: fc.nat(4), does: fc.constantFrom('look', 'join', 'die') });
  fc.assert(
    fc.property(fc.nat(12), fc.array(action, { maxLength: 80 }), (count, play) => {
      const wanted = units(count);
      const alive = new Set<string>([uuid(0)]);
      const holder = new Map<string, string>();
      const look = (replica: string): void => {
        if (!alive.has(replica)) return;
        const held = wanted.map(leaseKey).filter((key) => holder.get(key) === replica);
        const rows = [
          ...[...alive].map((name) => row(signOfLife(name), name)),
          ...wanted
            .filter((unit) => holder.has(leaseKey(unit)))
            .map((unit) => row(unit, holder.get(leaseKey(unit))!)),
        ];
        const share = leaseShare(view({ wanted, rows, replica, held: new Set(held) }));
        if (share.surplus > 0) holder.delete(held.at(-1)!);
        for (const unit of share.take) {
          expect(holder.has(leaseKey(unit))).toBe(false);
          holder.set(leaseKey(unit), replica);
        }
      };
      const does = {
        look,
        join: (replica: string) => alive.add(replica),
        die: (replica: string) => {
          if (alive.size > 1) alive.delete(replica);
          if (alive.has(replica)) return;
          for (const [key, name] of holder) if (name === replica) holder.delete(key);
        },
      };
      for (const step of play) does[step.does](uuid(step.replica));
      for (let turn = 0; turn < count + 1; turn += 1) for (const replica of alive) look(replica);
      const most = Math.ceil(count / alive.size);
      expect(holder.size).toBe(count);
      for (const replica of alive) {
        expect([...holder.values()].filter((name) => name === replica).length).toBeLessThanOrEqual(most);
      }
    }),
  );
});
