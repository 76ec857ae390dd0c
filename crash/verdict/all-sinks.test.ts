import { expect, test } from 'vitest';
import { judgeAll, type WholeVerdict } from './all-sinks.ts';
import { poisonBytes } from './redriven.ts';
import type { Arrival, LedgerEntry } from './verdict.ts';

const ledger = Array.from({ length: 6 }, (_, index): LedgerEntry => {
  const ordinal = index + 1;
  const large = ordinal === 3 ? poisonBytes : 10;
  const of = { tenant: 'acme', entityKey: 'k', eventType: 'counted', sha256: 'h' };
  return { ...of, eventId: `e${ordinal}`, ordinal, bytes: large };
});

/** `1 2 1:r ... 4`: the second of all, the first once more by replay r, and two minutes later the fourth. */
function came(text: string): Arrival[] {
  let at = 0;
  return text.split(' ').flatMap((each) => {
    at += each === '...' ? 120_000 : 1;
    const [ordinal = '', replay] = each.split(':');
    const arrival = { eventId: `e${ordinal}`, tenant: 'acme', entityKey: 'k', sha256: 'h', replay, at };
    return each === '...' ? [] : [arrival];
  });
}

const live = '1 2 3 4 5 6';

/** A replay of 2, 4 and 5 into each of two sinks, one of them a stream. */
function judged(
  inFile: string,
  inStream: string,
  { requestedAt = 0, lettersHold = false } = {},
): WholeVerdict {
  return judgeAll(ledger, {
    sinks: [{ sink: 'file', arrivals: came(inFile) }],
    stream: { sink: 'nats', arrivals: came(inStream) },
    replays: [
      { id: 'f', sink: 'file', eventIds: ['e2', 'e4', 'e5'] },
      { id: 'n', sink: 'nats', eventIds: ['e5', 'e4', 'e2'] },
    ],
    redrives: {
      poisonedAt: requestedAt === 0 ? [] : [1],
      requests: requestedAt === 0 ? [] : [{ startedAt: requestedAt, answeredAt: requestedAt }],
      letters: requestedAt === 0 ? 0 : 2,
    },
    lettersHold,
  });
}

const right = { lost: 0, phantom: 0, reordered: 0, corrupted: 0, twice: 0, replayed: 6, redriven: 0 };

test('replays and live events in any mixture, a replay that begins again after a crash', () => {
  expect(judged(`1 2 2:f 3 4 5 4:f 2:f 4:f 5:f 6`, `1 2 3 4 5 2:n 4:n 6 5:n`)).toMatchObject({
    ...{ ...right, duplicates: 2 },
    differences: [],
  });
});

test.each<[string, string, string, Partial<WholeVerdict>]>([
  ['an event of a replay that never came', `${live} 2:f 5:f`, `${live} 2:n 4:n 5:n`, { lost: 1 }],
  ['live, but not by the replay', `${live} ${live} 2:f`, `${live} 2:n 4:n 5:n`, { lost: 2 }],
  ['by the replay, but not live', `1 2 3 4 6 2:f 4:f 5:f`, `${live} 2:n 4:n 5:n`, { lost: 1 }],
  ['not selected', `${live} 2:f 3:f 4:f 5:f`, `${live} 2:n 4:n 5:n`, { phantom: 1 }],
  ['by a replay of another sink', `${live} 2:f 4:f 5:f`, `${live} 2:n 4:n 5:n 2:f`, { phantom: 1 }],
  ['another order', `${live} 2:f 5:f 4:f`, `${live} 2:n 4:n 5:n`, { reordered: 1 }],
  ['a repetition with a gap', `${live} 2:f 4:f 2:f 5:f`, `${live} 2:n 4:n 5:n`, { reordered: 1 }],
  ['twice in the stream by a replay', `${live} 2:f 4:f 5:f`, `${live} 2:n 4:n 4:n 5:n`, { twice: 1 }],
  ['twice in the stream', `${live} 2:f 4:f 5:f`, `1 2 3 4 5 5 6 2:n 4:n 5:n`, { twice: 1 }],
])('what is wrong is counted, of replays too: %s', (_name, inFile, inStream, wrong) => {
  expect(judged(inFile, inStream)).toMatchObject({ ...right, ...wrong });
});

test('a copy of what the stream has forgotten is no fault there, nor are gaps between such copies', () => {
  const stream = `1 2 3 4 5 2:n 4:n 5:n ... 1 3 2:n 5:n 6`;
  expect(judged(`${live} 2:f 4:f 5:f`, stream)).toMatchObject({ ...right, duplicates: 4, differences: [] });
  expect(judged(stream.replaceAll('n', 'f'), `${live} 2:n 4:n 5:n`)).toMatchObject({
    ...right,
    reordered: 3,
  });
});

test('a letter that was redriven may be late, in the stream and nowhere else', () => {
  const replayed = ['2:f 4:f 5:f', '2:n 4:n 5:n'];
  const late = '1 2 4 5 3 6';
  expect(judged(`${live} ${replayed[0]}`, `${late} ${replayed[1]}`, { requestedAt: 4 })).toMatchObject({
    ...right,
    redriven: 1,
  });
  expect(judged(`${late} ${replayed[0]}`, `${live} ${replayed[1]}`, { requestedAt: 4 })).toMatchObject({
    ...right,
    reordered: 1,
  });
  expect(judged(`${live} ${replayed[0]}`, `1 2 4 5 6 ${replayed[1]}`, { requestedAt: 4 })).toMatchObject({
    ...right,
    lost: 1,
  });
});

test('where later events wait behind a letter, none may be late', () => {
  const replayed = ['2:f 4:f 5:f', '2:n 4:n 5:n'];
  const how = { requestedAt: 4, lettersHold: true };
  expect(judged(`${live} ${replayed[0]}`, `${live} ${replayed[1]}`, how)).toMatchObject({
    ...right,
    redriven: 2,
  });
  expect(judged(`${live} ${replayed[0]}`, `1 2 4 5 3 6 ${replayed[1]}`, how)).toMatchObject({
    ...right,
    redriven: 2,
    reordered: 1,
  });
});
