import { context, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { fromPrisma } from '../adapters/prisma.ts';
import type { Statement, TransactionAdapter } from '../adapters/transaction-adapter.ts';
import { defineCatalog } from '../catalog/define-catalog.ts';
import { defineEvent } from '../catalog/define-event.ts';
import type { StandardSchema } from '../catalog/standard-schema.ts';
import { createOutbox } from './create-outbox.ts';

const placed = defineEvent('order.placed', {
  schema: z.object({ id: z.string(), total: z.number().positive(), note: z.string().default('none') }),
  key: (order) => order.id,
});
const anything: StandardSchema = {
  '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) },
};
const raw = defineEvent('raw', { schema: anything });
const shipped = defineEvent('order.shipped', {
  version: 3,
  schema: v.objectAsync({
    id: v.pipeAsync(
      v.string(),
      v.trim(),
      v.checkAsync(async (id) => id !== 'gone'),
    ),
  }),
});
const badKey = defineEvent('bad.key', { schema: anything, key: (data) => data as string });
const throwing = defineEvent('throwing', {
  schema: {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: () => {
        throw new Error('no');
      },
    },
  },
});
const silent = defineEvent('silent', {
  schema: {
    '~standard': { version: 1, vendor: 'test', validate: () => undefined as unknown as { value: unknown } },
  },
});
const catalog = defineCatalog({
  source: 'shop',
  events: [placed, raw, shipped, badKey, throwing, silent],
});

/** Records what would be sent, without the question of which transaction it is. */
function recorder(open: () => boolean | undefined = () => true): {
  readonly sent: Statement[];
  readonly adapter: TransactionAdapter<object>;
} {
  const sent: Statement[] = [];
  const row = { event: '(1,01890000-0000-7000-8000-000000000000,f)' };
  const adapter: TransactionAdapter<object> = {
    library: 'recorder',
    async execute(_, statement) {
      if (statement.text.includes('pg_current_xact_id()')) return [{ transaction: '7' }];
      sent.push(statement);
      const events = statement.text.includes('emit_many') ? (statement.values[0]?.split(',').length ?? 0) : 1;
      return Array.from({ length: events }, () => row);
    },
    inTransaction: open,
  };
  return { sent, adapter };
}

/** The argument of `emit` at a place of the function's list, from 0: a parameter, or null. */
function argument({ text, values }: Statement, place: number): string | null {
  const [, list = ''] = /emit\((.*)\)::text/.exec(text) ?? [];
  const parameter = /^\$(\d+)/.exec(list.split(', ')[place] ?? '')?.[1];
  return parameter === undefined ? null : (values[Number(parameter) - 1] ?? null);
}

const tx = {};
const tenant = 'acme';

test("what is emitted is the validator's output, serialised once", async () => {
  const { sent, adapter } = recorder();
  const outbox = createOutbox({ catalog, adapter });
  await outbox.emit(tx, placed, { id: 'o1', total: 5 }, { tenant });
  await outbox.emit(tx, shipped, { id: ' o1 ' }, { tenant });
  expect(sent.map((each) => argument(each, 1))).toEqual([
    '{"id":"o1","total":5,"note":"none"}',
    '{"id":"o1"}',
  ]);
  expect(sent.map((each) => argument(each, 3))).toEqual(['o1', null]);
  expect(sent.map((each) => argument(each, 5))).toEqual(['1', '3']);
});

test('every value sent is a text or null, and every placeholder occurs once, in order', async () => {
  const { sent, adapter } = recorder();
  const outbox = createOutbox({ catalog, adapter });
  await outbox.emit(tx, raw, 1, { tenant });
  await outbox.emitMany(tx, [{ event: raw, data: 1 }], { tenant });
  for (const { text, values } of sent) {
    expect(text.match(/\$\d+/g)).toEqual(values.map((_, index) => `$${index + 1}`));
    expect(values.every((value) => value === null || typeof value === 'string')).toBe(true);
  }
});

const circular: Record<string, unknown> = {};
circular['self'] = circular;
const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
type Options = Parameters<ReturnType<typeof createOutbox<typeof catalog, object>>['emit']>[3];
const refused: Array<[what: string, code: string, event: unknown, data: unknown, options: Options]> = [
  ['data that does not fit', 'ER2001', placed, { id: 'o1', total: -1 }, { tenant }],
  ['data that an async validator refuses', 'ER2001', shipped, { id: 'gone' }, { tenant }],
  ['a validator that throws', 'ER2001', throwing, 1, { tenant }],
  ['a validator without an answer', 'ER2001', silent, 1, { tenant }],
  ['an event outside of the catalogue', 'ER2002', defineEvent('x', { schema: anything }), 1, { tenant }],
  ['a namesake of an event', 'ER2002', defineEvent('raw', { schema: anything }), 1, { tenant }],
  ['no event at all', 'ER2002', undefined, 1, { tenant }],
  ["an event's name", 'ER2002', 'raw', 1, { tenant }],
  ['an empty tenant', 'ER2004', raw, 1, { tenant: '' }],
  ['a payload too large, counted in bytes', 'ER2005', raw, 'é'.repeat(1001), { tenant }],
  ['a bigint', 'ER2007', raw, { n: 1n }, { tenant }],
  ['a circle', 'ER2007', raw, circular, { tenant }],
  ['undefined', 'ER2007', raw, undefined, { tenant }],
  ['a function', 'ER2007', raw, () => 1, { tenant }],
  ['a tenant with U+0000', 'ER2008', raw, 1, { tenant: 'a\0' }],
  ['a tenant with half a character', 'ER2008', raw, 1, { tenant: 'a\ud800' }],
  ['a tenant that is no text', 'ER2008', raw, 1, { tenant: 7 as unknown as string }],
  ['a tenant too long', 'ER2008', raw, 1, { tenant: 'é'.repeat(201) }],
  ['an idempotency key too long', 'ER2008', raw, 1, { tenant, idempotencyKey: 'k'.repeat(501) }],
  [
    'an idempotency key of too many bytes',
    'ER2008',
    raw,
    1,
    { tenant, idempotencyKey: '漢'.repeat(500) + 'é' },
  ],
  [
    'headers in a Map',
    'ER2008',
    raw,
    1,
    { tenant, headers: new Map([['a', 'x']]) as unknown as Record<string, string> },
  ],
  ['headers in a text', 'ER2008', raw, 1, { tenant, headers: 'abc' as unknown as Record<string, string> }],
  ['headers that are null', 'ER2008', raw, 1, { tenant, headers: null as unknown as Record<string, string> }],
  ['an empty correlation id', 'ER2008', raw, 1, { tenant, correlationId: '' }],
  ['a header name in upper case', 'ER2008', raw, 1, { tenant, headers: { A: 'x' } }],
  ['a header name too long', 'ER2008', raw, 1, { tenant, headers: { ['a'.repeat(21)]: 'x' } }],
  ['a header that is no text', 'ER2008', raw, 1, { tenant, headers: { a: 1 as unknown as string } }],
  ['headers too large', 'ER2008', raw, 1, { tenant, headers: { a: 'x'.repeat(16_384) } }],
  ['a traceparent of another form', 'ER2008', raw, 1, { tenant, traceparent: `${traceparent}-x` }],
  ['a lock without a key', 'ER2008', raw, 1, { tenant, lock: 'entity' }],
  ['a key that is no text', 'ER2008', badKey, 7, { tenant }],
  ['an empty key', 'ER2008', badKey, '', { tenant }],
  ['a key too long', 'ER2008', badKey, 'k'.repeat(1001), { tenant }],
  ['a key of too many bytes', 'ER2008', badKey, '漢'.repeat(667), { tenant }],
];

test.each(refused)('%s is %s, and nothing is sent', async (_, code, event, data, options) => {
  const { sent, adapter } = recorder();
  const outbox = createOutbox({ catalog, adapter, maxPayloadBytes: 2003 });
  const emitted = outbox.emit(tx, event as typeof raw, data, options);
  await expect(emitted).rejects.toMatchObject({ code, retryable: false });
  const { lock, ...own } = options ?? {};
  const emissions = [{ event: raw, data: 1 } as const, { event: event as typeof raw, data, options: own }];
  // A lock concerns the whole call, so its first event, which has no key, is the one that is refused.
  const [shared, ordinal] = lock === undefined ? [{ tenant }, 2] : [{ tenant, lock }, 1];
  const both = outbox.emitMany(tx, emissions, shared);
  await expect(both).rejects.toMatchObject({ code, message: expect.stringContaining(`event ${ordinal}, `) });
  expect(sent).toEqual([]);
});

test('from JavaScript: options or events that are none are refused, and nothing is sent', async () => {
  const { sent, adapter } = recorder();
  const outbox = createOutbox({ catalog, adapter });
  for (const options of [null, 'acme', 7] as unknown as Array<{ tenant: string }>) {
    await expect(outbox.emit(tx, raw, 1, options)).rejects.toMatchObject({ code: 'ER2008' });
    await expect(outbox.emitMany(tx, [], options)).rejects.toMatchObject({ code: 'ER2008' });
  }
  for (const emissions of [undefined, null, { event: raw, data: 1 }] as unknown as Array<[]>) {
    await expect(outbox.emitMany(tx, emissions, { tenant })).rejects.toMatchObject({ code: 'ER2008' });
  }
  expect(sent).toEqual([]);
});

test('from JavaScript: an outbox without a catalogue, or with an adapter that was not called, is refused', () => {
  const wrong = (options: unknown) => (): unknown => createOutbox(options as { catalog: typeof catalog });
  expect(wrong({})).toThrow(expect.objectContaining({ code: 'ER2010' }));
  expect(wrong({ catalog, adapter: fromPrisma })).toThrow(expect.objectContaining({ code: 'ER2008' }));
});

test('a lock that is not known is refused: no lock would be taken', async () => {
  const { sent, adapter } = recorder();
  const outbox = createOutbox({ catalog, adapter });
  const options = { tenant, lock: 'Entity' as 'entity' };
  await expect(outbox.emit(tx, raw, 1, options)).rejects.toMatchObject({ code: 'ER2008' });
  await expect(outbox.emitMany(tx, [{ event: raw, data: 1 }], options)).rejects.toMatchObject({
    code: 'ER2008',
  });
  expect(sent).toEqual([]);
});

test('an undefined option of an event does not hide what holds for all', async () => {
  const { sent, adapter } = recorder();
  const options = { tenant: undefined, traceparent: null } as unknown as { traceparent: null };
  await createOutbox({ catalog, adapter }).emitMany(tx, [{ event: raw, data: 1, options }], { tenant });
  expect(sent[0]?.values[2]).toBe(`{"${tenant}"}`);
});

test('events with options of their own and events without, in one call: each gets its own', async () => {
  const { sent, adapter } = recorder();
  const own = { tenant: 'other', correlationId: 'c', traceparent };
  await createOutbox({ catalog, adapter }).emitMany(
    tx,
    [
      { event: raw, data: 1 },
      { event: raw, data: 2, options: own },
      { event: raw, data: 3 },
    ],
    { tenant, headers: { a: 'x' } },
  );
  expect(sent[0]?.values[2]).toBe(`{"${tenant}","other","${tenant}"}`);
  expect(sent[0]?.values[7]).toBe('{"","c",""}');
  expect(sent[0]?.values[10]).toBe(`{"","${traceparent}",""}`);
  expect(sent[0]?.values[11]).toBe('{"{\\"a\\":\\"x\\"}"}');
});

test('what parts the payloads of emitMany is never in one', async () => {
  const { sent, adapter } = recorder();
  const data = ['a\u001eb', { 'a\u001eb': '\u001e' }, '\\"\u001e"'];
  await createOutbox({ catalog, adapter }).emitMany(
    tx,
    data.map((each) => ({ event: raw, data: each })),
    { tenant },
  );
  const payloads = sent[0]?.values[1]?.split('\u001e') ?? [];
  expect(payloads.map((each): unknown => JSON.parse(each))).toEqual(data);
});

test('an answer that is not in the form of the database is no result', async () => {
  const id = '01890000-0000-7000-8000-000000000000';
  const answering = (event: unknown): TransactionAdapter<object> => ({
    ...recorder().adapter,
    execute: () => Promise.resolve([{ event }]),
  });
  const emitted = (event: unknown): Promise<unknown> =>
    createOutbox({ catalog, adapter: answering(event) }).emit(tx, raw, 1, { tenant });
  expect(await emitted(`(${id},t)`)).toEqual({ eventId: id, duplicate: true });
  expect(await emitted(`(${id},f)`)).toEqual({ eventId: id, duplicate: false });
  for (const other of [undefined, null, '', `(${id},)`, `(,f)`, { event_id: id }]) {
    await expect(emitted(other)).rejects.toThrow(TypeError);
  }
});

test('without an async validator the statement is sent before emit returns', async () => {
  const { sent, adapter } = recorder();
  const outbox = createOutbox({ catalog, adapter });
  const emitted = [
    outbox.emit(tx, raw, 1, { tenant }),
    outbox.emitMany(tx, [{ event: raw, data: 1 }], { tenant }),
  ];
  expect(sent).toHaveLength(2);
  await Promise.all(emitted);
});

test('values just within their limits are sent', async () => {
  const { sent, adapter } = recorder();
  const outbox = createOutbox({ catalog, adapter, maxPayloadBytes: 2002 });
  await outbox.emit(tx, raw, 'é'.repeat(1000), { tenant: '😀'.repeat(200), idempotencyKey: 'k'.repeat(500) });
  await outbox.emit(tx, badKey, 'k'.repeat(1000), { tenant });
  expect(sent).toHaveLength(2);
});

test('ER2001 says where and why, and no value', async () => {
  const outbox = createOutbox({ catalog, adapter: recorder().adapter });
  const emitted = outbox.emit(tx, placed, { id: 12_345_678 as unknown as string, total: -77 }, { tenant });
  await expect(emitted).rejects.toThrow(
    'order.placed v1: id: Invalid input: expected string, received number; ' +
      'total: Too small: expected number to be >0',
  );
  await expect(emitted).rejects.not.toThrow(/12345678|77/);
});

test('one idempotency key for a whole emitMany is refused: all but the first event would be duplicates', async () => {
  const { sent, adapter } = recorder();
  const outbox = createOutbox({ catalog, adapter });
  const options = { tenant, idempotencyKey: 'k' } as { tenant: string };
  await expect(outbox.emitMany(tx, [{ event: raw, data: 1 }], options)).rejects.toMatchObject({
    code: 'ER2008',
  });
  expect(sent).toEqual([]);
});

test('the payloads of one emitMany are bounded together', async () => {
  const { sent, adapter } = recorder();
  const outbox = createOutbox({ catalog, adapter });
  const data = 'x'.repeat(8 * 1024 * 1024 - 2);
  const emissions = Array.from({ length: 9 }, () => ({ event: raw, data }) as const);
  await expect(outbox.emitMany(tx, emissions, { tenant })).rejects.toMatchObject({ code: 'ER2005' });
  expect(sent).toEqual([]);
});

test.each([0, -1, Number.NaN, 32 * 1024 * 1024 + 1])('maxPayloadBytes %s is refused', (maxPayloadBytes) => {
  expect(() => createOutbox({ catalog, maxPayloadBytes })).toThrow(
    expect.objectContaining({ code: 'ER2008' }),
  );
});

describe('the transaction', () => {
  test('what waited for a validator is sent for the transaction that it was called in, and for that alone', async () => {
    const { sent, adapter } = recorder();
    const outbox = createOutbox({ catalog, adapter });
    await outbox.emit(tx, shipped, { id: 'o1' }, { tenant });
    await outbox.emitMany(tx, [{ event: shipped, data: { id: 'o1' } }], { tenant });
    for (const { text, values } of sent) {
      expect(text).toMatch(/ where pg_catalog\.pg_current_xact_id_if_assigned\(\)::text = \$\d+$/);
      expect(text.match(/\$\d+/g)).toEqual(values.map((_, index) => `$${index + 1}`));
      expect(values.at(-1)).toBe('7');
    }
    await outbox.emit(tx, raw, 1, { tenant });
    expect(sent.map(({ text }) => text.includes('xact_id'))).toEqual([true, true, false]);
  });

  test('where it is another transaction by then, the database answers no row: ER2003', async () => {
    const { adapter } = recorder();
    const elsewhere: TransactionAdapter<object> = {
      ...adapter,
      execute: async (at, statement) =>
        statement.text.includes(' where ') ? [] : await adapter.execute(at, statement),
    };
    const outbox = createOutbox({ catalog, adapter: elsewhere });
    const one = outbox.emit(tx, shipped, { id: 'o1' }, { tenant });
    await expect(one).rejects.toMatchObject({ code: 'ER2003' });
    const many = outbox.emitMany(tx, [{ event: shipped, data: { id: 'o1' } }], { tenant });
    await expect(many).rejects.toMatchObject({ code: 'ER2003' });
  });

  test('a transaction that does not tell its id: the error that the driver threw, and no event', async () => {
    const { sent, adapter } = recorder();
    const broken: TransactionAdapter<object> = {
      ...adapter,
      execute: (at, statement) =>
        statement.text.includes('pg_current_xact_id()')
          ? Promise.reject(new Error('connection lost'))
          : adapter.execute(at, statement),
    };
    const outbox = createOutbox({ catalog, adapter: broken });
    await expect(outbox.emit(tx, shipped, { id: 'o1' }, { tenant })).rejects.toThrow('connection lost');
    // What is wrong with the event is said first.
    const emitted = outbox.emit(tx, shipped, { id: 'gone' }, { tenant });
    await expect(emitted).rejects.toMatchObject({ code: 'ER2001' });
    expect(sent).toEqual([]);
  });

  test('one that ends while a validator works is noticed before anything is sent', async () => {
    let open = true;
    const { sent, adapter } = recorder(() => open);
    const emitted = createOutbox({ catalog, adapter }).emit(tx, shipped, { id: 'o1' }, { tenant });
    open = false;
    await expect(emitted).rejects.toMatchObject({ code: 'ER2003' });
    expect(sent).toEqual([]);
  });

  test('a library that cannot tell is trusted', async () => {
    const { sent, adapter } = recorder(() => undefined);
    await createOutbox({ catalog, adapter }).emit(tx, raw, 1, { tenant });
    expect(sent).toHaveLength(1);
  });

  test('an aborted signal sends nothing', async () => {
    const { sent, adapter } = recorder();
    const signal = AbortSignal.abort(new Error('stopping'));
    const outbox = createOutbox({ catalog, adapter });
    await expect(outbox.emit(tx, raw, 1, { tenant, signal })).rejects.toThrow('stopping');
    await expect(outbox.emitMany(tx, [{ event: raw, data: 1 }], { tenant, signal })).rejects.toThrow(
      'stopping',
    );
    expect(sent).toEqual([]);
  });
});

test('traceparent: the active span, unless one is given, or none is wanted', async () => {
  const { sent, adapter } = recorder();
  const outbox = createOutbox({ catalog, adapter });
  const span = { traceId: '1'.repeat(32), spanId: '2'.repeat(16), traceFlags: 0 };
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  try {
    await context.with(trace.setSpanContext(ROOT_CONTEXT, span), async () => {
      await outbox.emit(tx, shipped, { id: 'o1' }, { tenant });
      await outbox.emit(tx, raw, 1, { tenant, traceparent });
      await outbox.emit(tx, raw, 1, { tenant, traceparent: null });
    });
  } finally {
    context.disable();
  }
  const active = `00-${span.traceId}-${span.spanId}-00`;
  expect(sent.map((each) => argument(each, 10))).toEqual([active, traceparent, null]);
});
