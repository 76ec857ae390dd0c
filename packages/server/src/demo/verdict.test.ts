import { describe, expect, test } from 'vitest';
import type { ExpectedEvent } from './expected-events.ts';
import type { ReceivedEvent, RefusedSignature } from './received-events.ts';
import { isExact, judge, type Verdict } from './verdict.ts';

function committed(eventId: string, tenant: string, entityKey: string, ordinal: number): ExpectedEvent {
  return { eventId, tenant, entityKey, ordinal, eventType: 'claim.approved', sha256: `hash-of-${eventId}` };
}

function arrivalOf(event: ExpectedEvent): ReceivedEvent {
  const { eventId, tenant, entityKey, eventType, sha256 } = event;
  return { eventId, tenant, entityKey, eventType, sha256, messageId: `msg_${eventId}`, arrivedAt: 0 };
}

const expected = [
  committed('a1', 'acme', 'a', 1),
  committed('a2', 'acme', 'a', 2),
  committed('a3', 'acme', 'a', 3),
  committed('b1', 'acme', 'b', 1),
  // The same key at another tenant is another order.
  committed('g1', 'globex', 'a', 1),
];
const [a1, a2, a3, b1, g1] = expected.map(arrivalOf) as [
  ReceivedEvent,
  ReceivedEvent,
  ReceivedEvent,
  ReceivedEvent,
  ReceivedEvent,
];
const none: readonly RefusedSignature[] = [];

function counts(verdict: Verdict): Record<string, number> {
  const { lost, phantom, reordered, corrupted, badSignatures, duplicates, delivered } = verdict;
  return { lost, phantom, reordered, corrupted, badSignatures, duplicates, delivered };
}

const right = {
  lost: 0,
  phantom: 0,
  reordered: 0,
  corrupted: 0,
  badSignatures: 0,
  duplicates: 0,
  delivered: 5,
};

describe('right deliveries pass', () => {
  test.each<[string, ReceivedEvent[], number]>([
    ['in order of commit', [a1, a2, a3, b1, g1], 0],
    ['keys interleaved in any way', [g1, b1, a1, a2, a3], 0],
    ['each one twice at once', [a1, a1, a2, a2, a3, a3, b1, b1, g1, g1], 5],
    ['begun again from the start after a crash', [a1, a2, b1, a1, a2, b1, a3, g1], 3],
  ])('%s', (_name, received, duplicates) => {
    const verdict = judge(expected, { received, refusedSignatures: none });
    expect(counts(verdict)).toEqual({ ...right, duplicates });
    expect(verdict.differences).toEqual([]);
    expect(isExact(verdict)).toBe(true);
  });
});

describe('each kind of wrong delivery is convicted, and named', () => {
  test.each<[string, ReceivedEvent[], Partial<Record<keyof Verdict, number>>, string[]]>([
    ['one lost', [a1, a2, a3, g1], { lost: 1, delivered: 4 }, ['b1']],
    ['one lost in the middle of its key', [a1, a3, b1, g1], { lost: 1, delivered: 4 }, ['a2']],
    ['all lost', [], { lost: 5, delivered: 0 }, ['a1', 'a2', 'a3', 'b1', 'g1']],
    ['one invented', [a1, a2, a3, b1, g1, { ...b1, eventId: 'x' }], { phantom: 1 }, ['x']],
    [
      'one invented, sent twice',
      [a1, a2, a3, b1, g1, { ...b1, eventId: 'x' }, { ...b1, eventId: 'x' }],
      { phantom: 1, duplicates: 1 },
      ['x'],
    ],
    ['two of a key swapped', [a2, a1, a3, b1, g1], { reordered: 1 }, ['a1']],
    ['the last of a key first', [a3, a1, a2, b1, g1], { reordered: 2 }, ['a1', 'a2']],
    ['swapped, then sent again in order', [a2, a1, a2, a3, b1, g1], { reordered: 1, duplicates: 1 }, ['a1']],
    ['a byte altered', [a1, { ...a2, sha256: 'other' }, a3, b1, g1], { corrupted: 1 }, ['a2']],
    [
      'a byte altered in the second copy only',
      [a1, a2, { ...a2, sha256: 'other' }, a3, b1, g1],
      { corrupted: 1, duplicates: 1 },
      ['a2'],
    ],
    [
      "sent to another tenant's endpoint",
      [a1, a2, a3, { ...b1, tenant: 'globex' }, g1],
      { corrupted: 1 },
      ['b1'],
    ],
    ['sent under another key', [a1, a2, a3, { ...b1, entityKey: 'c' }, g1], { corrupted: 1 }, ['b1']],
    ['sent as another type', [a1, a2, a3, { ...b1, eventType: 'c' }, g1], { corrupted: 1 }, ['b1']],
    [
      'another id at the second attempt',
      [a1, a2, a3, b1, { ...b1, messageId: 'msg_new' }, g1],
      { corrupted: 1, duplicates: 1 },
      ['b1'],
    ],
  ])('%s', (_name, received, wrong, named) => {
    const verdict = judge(expected, { received, refusedSignatures: none });
    expect(counts(verdict)).toEqual({ ...right, ...wrong });
    expect(verdict.differences.map((difference) => difference.eventId)).toEqual(named);
    expect(isExact(verdict)).toBe(false);
  });

  test('a signature that does not hold, though the event came well signed later', () => {
    const refusedSignatures = [{ path: '/hooks/acme', eventId: 'b1', reason: 'No matching signature found' }];
    const verdict = judge(expected, { received: [a1, a2, a3, b1, g1], refusedSignatures });
    expect(counts(verdict)).toEqual({ ...right, badSignatures: 1 });
    expect(isExact(verdict)).toBe(false);
    expect(verdict.differences[0]?.line).toBe('b1 at /hooks/acme: No matching signature found');
  });
});

describe('in a stream, where each event may be only once', () => {
  const inStream = (received: readonly ReceivedEvent[]): Verdict =>
    judge(expected, { received, refusedSignatures: none, once: true });

  test('what is there once and in order passes', () => {
    const verdict = inStream([g1, a1, b1, a2, a3]);
    expect(verdict).toMatchObject({ ...right, repeated: 0, differences: [] });
    expect(isExact(verdict)).toBe(true);
  });

  test.each<[string, ReceivedEvent[], Partial<Record<keyof Verdict, number>>, string]>([
    ['twice', [a1, a1, a2, a3, b1, g1], { duplicates: 1, repeated: 1 }, 'a1'],
    ['again after all others', [a1, a2, a3, b1, g1, a3], { duplicates: 1, repeated: 1 }, 'a3'],
    ['missing', [a1, a2, a3, b1], { lost: 1, delivered: 4, repeated: 0 }, 'g1'],
    ['behind a later one', [a1, a3, a2, b1, g1], { reordered: 1, repeated: 0 }, 'a2'],
    [
      'of another subject',
      [a1, a2, a3, { ...b1, tenant: 'acme in its header, globex in its subject' }, g1],
      { corrupted: 1 },
      'b1',
    ],
  ])('one that is %s is convicted', (_name, received, wrong, named) => {
    const verdict = inStream(received);
    expect(verdict).toMatchObject({ ...right, ...wrong });
    expect(verdict.differences.map(({ eventId }) => eventId)).toEqual([named]);
    expect(isExact(verdict)).toBe(false);
  });
});

test('ten differences are named, all are counted', () => {
  const many = Array.from({ length: 25 }, (_, index) => committed(`e${index}`, 'acme', 'k', index + 1));
  const verdict = judge(many, { received: [], refusedSignatures: none });
  expect(verdict.lost).toBe(25);
  expect(verdict.differences).toHaveLength(10);
  expect(verdict.differences[0]?.line).toBe('e0 (claim.approved, acme k no. 1): never came');
});

test('the order in which the committed events are listed does not matter', () => {
  const verdict = judge(expected.toReversed(), { received: [a2, a1, a3, b1, g1], refusedSignatures: none });
  expect(verdict.reordered).toBe(1);
});
