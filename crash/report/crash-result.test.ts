import { expect, test } from 'vitest';
import type { Verdict } from '../verdict/verdict.ts';
import { type CrashCounts, type CrashResult, crashResult, exitCodes } from './crash-result.ts';

const counts: CrashCounts = {
  seed: 1,
  postgres: '18',
  sources: 'wal',
  mutant: null,
  events: 10,
  kills: 2,
  killsInFlight: 2,
  freezes: 0,
  nats: 0,
  afterDeadLetter: 'continue',
  twice: 0,
  replayed: 0,
  redriven: 0,
  killsOf: { relay: 2, postgres: 0, receiver: 0, nats: 0 },
  failpoints: [],
  hits: 0,
  short: [],
  transactions: { committed: 10, rolledBack: 0, unknown: 0 },
  stalled: false,
  unaskedExits: 0,
  seconds: 1,
};

const none: Verdict = {
  committed: 10,
  lost: 0,
  phantom: 0,
  reordered: 0,
  corrupted: 0,
  duplicates: 5,
  differences: [],
};

test.each<[name: string, found: Partial<Verdict>, of: Partial<CrashCounts>, outcome: CrashResult['outcome']]>(
  [
    ['duplicates alone are no fault', {}, {}, 'clean'],
    ['a loss', { lost: 1 }, {}, 'faulty'],
    ['an invention', { phantom: 1 }, {}, 'faulty'],
    ['another order', { reordered: 1 }, {}, 'faulty'],
    ['other bytes', { corrupted: 1 }, {}, 'faulty'],
    ['a loss of a mutant', { lost: 1 }, { mutant: 'ack-early' }, 'convicted'],
    ['nothing found of a mutant', {}, { mutant: 'ack-early' }, 'not-convicted'],
    ['a fault, whatever was not hit', { lost: 1 }, { short: ['relay.tick'] }, 'faulty'],
    ['a failpoint not hit', {}, { short: ['relay.tick'] }, 'short'],
    ['a standstill', {}, { stalled: true, short: ['relay.tick'] }, 'stalled'],
    ['what is missing at a standstill', { lost: 9 }, { stalled: true }, 'stalled'],
    ['a mutant that hangs', { lost: 9 }, { stalled: true, mutant: 'ack-early' }, 'stalled'],
    ['an invention, and a standstill', { phantom: 1 }, { stalled: true }, 'faulty'],
  ],
)('%s', (_name, found, of, outcome) => {
  expect(crashResult({ ...none, ...found }, { ...counts, ...of }).outcome).toBe(outcome);
});

test('the exit code is 0 for what was to be shown, 1 for the opposite, 3 for neither', () => {
  expect(exitCodes).toEqual({
    clean: 0,
    convicted: 0,
    faulty: 1,
    'not-convicted': 1,
    stalled: 3,
    short: 3,
  });
});
