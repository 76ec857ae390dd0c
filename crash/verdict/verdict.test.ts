import { describe, expect, test } from 'vitest';
import { type Arrival, judge, type LedgerEntry, requireGapless, sumOf, type Verdict } from './verdict.ts';

function committed(eventId: string, entityKey: string, ordinal: number, tenant = 'acme'): LedgerEntry {
  return {
    eventId,
    tenant,
    entityKey,
    eventType: 'counted',
    ordinal,
    sha256: `hash-of-${eventId}`,
    bytes: 10,
  };
}

const ledger = [
  committed('a1', 'a', 1),
  committed('a2', 'a', 2),
  committed('a3', 'a', 3),
  committed('b1', 'b', 1),
  // The same key at another tenant is another order.
  committed('g1', 'a', 1, 'globex'),
];
const arrivals = ledger.map(({ eventId, tenant, entityKey, sha256 }): Arrival => {
  return { eventId, tenant, entityKey, sha256, at: 0 };
});
const [a1, a2, a3, b1, g1] = arrivals as [Arrival, Arrival, Arrival, Arrival, Arrival];

const judged = (came: readonly Arrival[]): Verdict => judge(ledger, { sink: 'webhooks', arrivals: came });
const right = {
  committed: 5,
  lost: 0,
  phantom: 0,
  reordered: 0,
  corrupted: 0,
  duplicates: 0,
  differences: [],
};

describe('right deliveries pass', () => {
  test.each<[string, Arrival[], number]>([
    ['in the order of commit', [a1, a2, a3, b1, g1], 0],
    ['entities interleaved in any way', [g1, b1, a1, a2, a3], 0],
    ['each one twice at once', [a1, a1, a2, a2, a3, a3, b1, b1, g1, g1], 5],
    ['begun again from the start after a crash', [a1, a2, b1, a1, a2, b1, a3, g1], 3],
    ['begun again in the middle of a repetition', [a1, a2, a3, a1, a2, a1, a2, a3, b1, g1], 5],
  ])('%s', (_name, came, duplicates) => {
    expect(judged(came)).toEqual({ ...right, duplicates });
  });
});

test('while two senders may be at work, one request of the one may stand between what the other repeats; at no other time', () => {
  // The other one repeats from the first, when the request of the one that was stopped arrives: the third.
  const came = [a1, a2, a1, a3, a2, a3, b1, g1].map((arrival, at) => ({ ...arrival, at }));
  const during = (from: number, to: number): Verdict =>
    judge(ledger, { sink: 'webhooks', arrivals: came, twoSenders: [{ from, to }] });
  expect(during(3, 4)).toMatchObject({ ...right, duplicates: 3 });
  expect(during(4, 5)).toMatchObject({ reordered: 1 });
  expect(during(0, 2)).toMatchObject({ reordered: 1 });
  // Nothing that never came before comes behind a later one.
  const late = [a1, a3, a2, b1, g1].map((arrival, at) => ({ ...arrival, at }));
  const options = { sink: 'webhooks', arrivals: late, twoSenders: [{ from: 0, to: 9 }] };
  expect(judge(ledger, options)).toMatchObject({ reordered: 1 });
});

describe('each kind of fault is convicted, and named', () => {
  test.each<[string, Arrival[], Partial<Verdict>, string[]]>([
    ['one lost at the end', [a1, a2, b1, g1], { lost: 1 }, ['a3']],
    ['one lost in the middle of its entity', [a1, a3, b1, g1], { lost: 1 }, ['a2']],
    ['all lost', [], { lost: 5 }, ['a1', 'a2', 'a3', 'b1', 'g1']],
    ['one invented', [a1, a2, a3, b1, g1, { ...b1, eventId: 'x' }], { phantom: 1 }, ['x']],
    [
      'one invented, sent twice',
      [a1, a2, a3, b1, g1, { ...b1, eventId: 'x' }, { ...b1, eventId: 'x' }],
      { phantom: 1, duplicates: 1 },
      ['x'],
    ],
    ['two swapped', [a2, a1, a3, b1, g1], { reordered: 1 }, ['a1']],
    ['the last first', [a3, a1, a2, b1, g1], { reordered: 2 }, ['a1', 'a2']],
    ['swapped, then sent again in order', [a2, a1, a2, a3, b1, g1], { reordered: 1, duplicates: 1 }, ['a1']],
    [
      'repeated by one that was replaced, between the others',
      [a1, a2, a1, a3, b1, g1],
      { reordered: 1, duplicates: 1 },
      ['a3'],
    ],
    [
      'a repetition that leaves one out',
      [a1, a2, a3, a1, a3, b1, g1],
      { reordered: 1, duplicates: 2 },
      ['a3'],
    ],
    ['a byte altered', [a1, { ...a2, sha256: 'other' }, a3, b1, g1], { corrupted: 1 }, ['a2']],
    [
      'a byte altered in the second copy only',
      [a1, a2, { ...a2, sha256: 'other' }, a3, b1, g1],
      { corrupted: 1, duplicates: 1 },
      ['a2'],
    ],
    ["at another tenant's endpoint", [a1, a2, a3, { ...b1, tenant: 'globex' }, g1], { corrupted: 1 }, ['b1']],
    ['under another entity', [a1, a2, a3, { ...b1, entityKey: 'c' }, g1], { corrupted: 1 }, ['b1']],
  ])('%s', (_name, came, wrong, named) => {
    const verdict = judged(came);
    expect({ ...verdict, differences: [] }).toEqual({ ...right, ...wrong });
    expect(verdict.differences.map((difference) => difference.eventId)).toEqual(named);
  });
});

test('a message under another subject than its own is convicted, under none too', () => {
  const subjectOf = ({ tenant, eventType }: LedgerEntry): string => `events.${tenant}.${eventType}`;
  const placed = (subject: (arrival: Arrival) => string): Verdict => {
    const messages = arrivals.map((arrival) => ({ ...arrival, subject: subject(arrival) }));
    return judge(ledger, { sink: 'nats', arrivals: messages, subjectOf });
  };
  expect(placed(({ tenant }) => `events.${tenant}.counted`)).toEqual(right);
  const everyone = placed(() => 'events.acme.counted');
  expect(everyone).toMatchObject({ ...right, corrupted: 1, differences: [{ eventId: 'g1' }] });
  expect(everyone.differences[0]?.line).toContain(
    'subject is events.globex.counted, but events.acme.counted',
  );
  expect(judge(ledger, { sink: 'nats', arrivals, subjectOf })).toMatchObject({ corrupted: 5 });
});

test('an event that was rolled back, or lost with the server, is a phantom when it comes', () => {
  const verdict = judge(ledger.slice(0, 4), { sink: 'webhooks', arrivals });
  expect(verdict).toMatchObject({ committed: 4, phantom: 1, lost: 0 });
  expect(verdict.differences[0]?.line).toBe('g1 (globex a): came, but was never committed');
});

test('sinks are judged apart: what one received does not make up for what the other lost', () => {
  const first = judge(ledger, { sink: 'webhooks', arrivals });
  const second = judge(ledger, { sink: 'file', arrivals: [a1, a2, a3, b1] });
  const both = sumOf([first, second]);
  expect(both).toMatchObject({ committed: 10, lost: 1 });
  expect(both.differences).toEqual([
    { kind: 'lost', sink: 'file', eventId: 'g1', line: 'g1 (globex a no. 1): never came' },
  ]);
});

test('ten differences are named, all are counted', () => {
  const many = Array.from({ length: 25 }, (_, index) => committed(`e${index}`, 'k', index + 1));
  const verdict = judge(many, { sink: 'webhooks', arrivals: [] });
  expect(verdict.lost).toBe(25);
  expect(verdict.differences).toHaveLength(10);
});

test('the order in which the ledger is listed does not matter', () => {
  const verdict = judge(ledger.toReversed(), { sink: 'webhooks', arrivals: [a2, a1, a3, b1, g1] });
  expect(verdict.reordered).toBe(1);
});

test.each([
  ['a gap', [committed('a1', 'a', 1), committed('a3', 'a', 3)]],
  ['a repetition', [committed('a1', 'a', 1), committed('a2', 'a', 1)]],
])('a ledger with %s judges nobody', (_name, entries) => {
  expect(() => requireGapless(entries)).toThrow(
    /^the ledger of acme a has no event no\. 2, or has it twice$/,
  );
  expect(() => requireGapless(ledger)).not.toThrow();
});
