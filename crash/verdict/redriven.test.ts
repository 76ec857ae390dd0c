import { expect, test } from 'vitest';
import { findRedriven, poisonBytes, type Redrives } from './redriven.ts';
import type { Arrival, LedgerEntry } from './verdict.ts';

/** Events of two entities; every other one, from the first on, is large enough to be poison. */
const ledger = ['a', 'b'].flatMap((entityKey) =>
  Array.from({ length: 9 }, (_, index): LedgerEntry => {
    const eventId = `${entityKey}${index + 1}`;
    const bytes = index % 2 === 0 ? poisonBytes : 100;
    return {
      ...{ eventId, tenant: 'acme', entityKey, eventType: 'counted', sha256: '' },
      ordinal: index + 1,
      bytes,
    };
  }),
);

/** `a1@10 b1@11`: what came, and when. */
function came(text: string): Arrival[] {
  return text.split(' ').map((each) => {
    const [eventId = '', at = ''] = each.split('@');
    return { eventId, tenant: 'acme', entityKey: eventId.slice(0, 1), sha256: '', at: Number(at) };
  });
}

const redrives: Redrives = {
  poisonedAt: [10, 50],
  requests: [
    { startedAt: 20, answeredAt: 22 },
    { startedAt: 60, answeredAt: 62 },
  ],
  letters: 0,
};

function found(
  text: string,
  of: Redrives = redrives,
): { late: string[]; redriven: number; passed: string[] } {
  const { late, redriven, passed } = findRedriven(ledger, { arrivals: came(text), redrives: of });
  return { late: [...late], redriven, passed: passed.map(({ eventId }) => eventId) };
}

test('what came in order is no letter that was redriven', () => {
  expect(found('a1@1 b1@1 a2@12 a3@13 b2@30 a4@40')).toEqual({ late: [], redriven: 0, passed: [] });
});

test('letters come late in their order, after a request; another entity goes on', () => {
  expect(found('a2@12 a4@13 a1@25 b1@25 b2@26 a3@27 a5@28')).toEqual({
    ...{ late: ['a1', 'a3'], redriven: 2, passed: [] },
  });
});

test('what was refused, and is handed over again after a crash, is late without a request', () => {
  expect(found('a2@12 a1@19')).toEqual({ late: ['a1'], redriven: 0, passed: [] });
  // The next time that events are poison.
  const again = 'a2@12 a1@25 a4@51 a3@52 a6@53 a5@54';
  expect(found(again)).toEqual({ late: ['a1', 'a3', 'a5'], redriven: 3, passed: [] });
});

test.each([
  ['too small to be poison', 'a1@1 a3@12 a2@25', redrives],
  ['passed before anything was poison', 'a2@9 a1@25', redrives],
  [
    'passed while nothing was ever poison',
    'a2@12 a1@25',
    { poisonedAt: [], requests: redrives.requests, letters: 0 },
  ],
] as const)('an event may not be late: %s', (_name, text, of) => {
  expect(found(text, of).late).toEqual([]);
});

test.each([
  ['the newer letter first', 'a2@12 a4@13 a3@25 a1@26', ['a1']],
  ['a live event between two letters', 'a2@12 a4@13 a1@25 a6@26 a3@27', ['a3']],
  ['a live large one that the later letter should precede', 'a2@12 a4@13 a1@25 a5@26 a3@27', ['a3']],
])('letters of one request in a wrong order: %s', (_name, text, passed) => {
  expect(found(text).passed).toEqual(passed);
});

test('what came by different requests, or while one was made, has no order', () => {
  expect(found('a2@12 a4@13 a3@25 a6@30 a1@65').passed).toEqual([]);
  expect(found('a2@12 a4@13 a3@25 a6@30 a1@61').passed).toEqual([]);
  expect(found('a2@12 a4@13 a3@21 a1@25').passed).toEqual([]);
});

test('a second arrival says nothing', () => {
  expect(found('a1@1 a2@12 a1@25')).toEqual({ late: [], redriven: 0, passed: [] });
});
