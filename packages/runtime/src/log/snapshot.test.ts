import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Snapshot } from './snapshot.ts';

/** A model: the transactions that had ended, out of all ids from 3 to 40. */
const ids = Array.from({ length: 38 }, (_, index) => BigInt(index + 3));

/** Snapshots as PostgreSQL makes them: xmin is the lowest open id, or xmax. */
const snapshots = fc
  .tuple(fc.integer({ min: 3, max: 36 }), fc.uniqueArray(fc.integer({ min: 3, max: 35 }), { maxLength: 8 }))
  .map(([xmax, some]) => {
    const open = some.filter((id) => id < xmax).toSorted((a, b) => a - b);
    return Snapshot.parse(`${open[0] ?? xmax}:${xmax}:${open.join(',')}`);
  });

/** The ids that a snapshot sees, read from its text alone. */
function seenBy(snapshot: Snapshot): Set<bigint> {
  const [xmin = '', xmax = '', open = ''] = snapshot.toString().split(':');
  const listed = new Set(open.split(',').filter(Boolean).map(BigInt));
  return new Set(ids.filter((id) => id < BigInt(xmin) || (id < BigInt(xmax) && !listed.has(id))));
}

test('what it sees', () => {
  fc.assert(
    fc.property(snapshots, (snapshot) => {
      expect(new Set(ids.filter((id) => snapshot.sees(id)))).toEqual(seenBy(snapshot));
    }),
  );
});

test('it covers another one exactly when it sees all that the other one sees', () => {
  fc.assert(
    fc.property(snapshots, snapshots, (one, other) => {
      const seen = seenBy(one);
      expect(one.covers(other)).toBe([...seenBy(other)].every((id) => seen.has(id)));
      expect(one.covers(one)).toBe(true);
    }),
    { numRuns: 1_000 },
  );
});

test('the intersection sees what both see, and no more', () => {
  fc.assert(
    fc.property(snapshots, snapshots, (one, other) => {
      const both = one.intersect(other);
      const seen = seenBy(other);
      expect(seenBy(both)).toEqual(new Set([...seenBy(one)].filter((id) => seen.has(id))));
      expect(seenBy(Snapshot.parse(both.toString()))).toEqual(seenBy(both));
    }),
    { numRuns: 1_000 },
  );
});

test('its text is what PostgreSQL wrote', () => {
  fc.assert(
    fc.property(snapshots, (snapshot) => {
      expect(Snapshot.parse(snapshot.toString()).toString()).toBe(snapshot.toString());
    }),
  );
  expect(Snapshot.parse('18446744073709551000:18446744073709551001:18446744073709551000').toString()).toBe(
    '18446744073709551000:18446744073709551001:18446744073709551000',
  );
  expect(Snapshot.nothing.toString()).toBe('3:3:');
});

test.each(['', '3', '3:3', '3:3:x', '3:3:4,', '-1:3:', "3:3:' or true", '3:3:,4'])('refused: %s', (text) => {
  expect(() => Snapshot.parse(text)).toThrow(TypeError);
});
