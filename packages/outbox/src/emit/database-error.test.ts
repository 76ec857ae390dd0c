import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isEventRuntimeError } from '../errors/coded-error.ts';
import { emitFailure } from './database-error.ts';

const driverError = (code: string, message: string, more: object = {}): Error =>
  Object.assign(new Error(message), { code, severity: 'ERROR', ...more });

/** The shapes in which the libraries hand on a database error. */
const wrappers: ReadonlyArray<[string, (inner: Error & { code?: string; hint?: string }) => Error]> = [
  ['pg', (inner) => inner],
  [
    'Drizzle',
    (inner) =>
      Object.assign(new Error('Failed query: select …\nparams: secret', { cause: inner }), {
        query: 'select …',
        params: ['secret'],
      }),
  ],
  [
    'Prisma',
    (inner) => {
      const cause = { originalCode: inner.code, originalMessage: inner.message, kind: 'x', hint: inner.hint };
      return Object.assign(new Error(`Raw query failed. Code: \`${inner.code}\`.`), {
        code: 'P2010',
        meta: { driverAdapterError: Object.assign(new Error('x'), { cause }) },
      });
    },
  ],
  [
    'TypeORM',
    (inner) =>
      Object.assign(new Error(inner.message), { query: 'q', parameters: ['secret'], driverError: inner }),
  ],
];

test.each(wrappers)('%s: codes of the database, and SQLSTATEs that mean one', (_, wrap) => {
  const code = (state: string, message: string, idempotent = false): string | undefined => {
    const failure = emitFailure(wrap(driverError(state, message)), { idempotent });
    return isEventRuntimeError(failure) ? failure.code : undefined;
  };
  expect(code('22023', 'ER2004 The event has no tenant.')).toBe('ER2004');
  expect(code('22023', 'ER2999 Something newer.')).toBe('ER2999');
  expect(code('40001', 'could not serialize access', true)).toBe('ER2009');
  expect(code('40001', 'could not serialize access', false)).toBeUndefined();
  expect(code('3F000', 'schema "event_runtime" does not exist')).toBe('ER2011');
  expect(code('42883', 'function does not exist')).toBe('ER2011');
  expect(code('42501', 'permission denied for schema event_runtime')).toBe('ER2011');
  expect(code('40P01', 'deadlock detected', true)).toBeUndefined();
  expect(code('23505', 'the text ER2004 inside of a message')).toBeUndefined();
});

test.each(wrappers)('%s: nothing that is thrown carries the parameters', (_, wrap) => {
  for (const state of ['22023', '40P01', '3F000']) {
    let link: unknown = emitFailure(wrap(driverError(state, 'ER2004 x')), { idempotent: false });
    while (link instanceof Error) {
      expect(link).not.toHaveProperty('params');
      expect(link).not.toHaveProperty('parameters');
      expect(link.message).not.toContain('secret');
      link = link.cause;
    }
  }
});

test('the hint of the database is the remedy, and its text follows the meaning once', () => {
  const thrown = driverError('22023', 'ER2004 the event has no tenant', { hint: 'Set it.' });
  const failure = emitFailure(thrown, { idempotent: false }) as Error;
  expect(failure.message).toBe('ER2004 The event has no tenant. — Set it.');
  expect(failure.cause).toBe(thrown);
});

test('a lost connection or a deadlock stays the error of the driver', () => {
  const lost = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
  expect(emitFailure(lost, { idempotent: true })).toBe(lost);
});

test('any value at all gets an answer (fast-check prints the seed)', () => {
  const hostile = {
    get cause(): never {
      throw new Error('no');
    },
    get code(): never {
      throw new Error('no');
    },
  };
  expect(() => emitFailure(hostile, { idempotent: true })).not.toThrow();
  fc.assert(
    fc.property(fc.anything({ withNullPrototype: true }), fc.boolean(), (thrown, idempotent) => {
      emitFailure(thrown, { idempotent });
      const cyclic = Object.assign(new Error('x'), { meta: thrown });
      cyclic.cause = cyclic;
      expect(emitFailure(cyclic, { idempotent })).toBeInstanceOf(Error);
    }),
  );
});
