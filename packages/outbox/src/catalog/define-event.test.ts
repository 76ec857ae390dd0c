import { expect, test } from 'vitest';
import { z } from 'zod';
import { checkCatalog } from './check-catalog.ts';
import { defineCatalog } from './define-catalog.ts';
import { defineEvent } from './define-event.ts';
import type { StandardSchema } from './standard-schema.ts';

const schema = z.object({ orderId: z.string() });

test.each(['', 'a b', '.a', 'a\nb', 'é', 'a*', 'x'.repeat(201)])('refuses the event type %j', (type) => {
  expect(() => defineEvent(type, { schema })).toThrow(expect.objectContaining({ code: 'ER2010' }));
});

test.each(['a', 'order.placed', 'Order_Placed', 'urn:shop/order-placed', 'x'.repeat(200)])(
  'takes the event type %j',
  (type) => {
    expect(defineEvent(type, { schema })).toMatchObject({ type, version: 1, pii: [], examples: [] });
  },
);

test.each([0, -1, 1.5, Number.NaN, 2 ** 31])('refuses version %j', (version) => {
  expect(() => defineEvent('a', { version, schema })).toThrow(expect.objectContaining({ code: 'ER2010' }));
});

type Declared = Parameters<typeof defineEvent>;
const notTyped: Array<[what: string, type: unknown, declaration: unknown]> = [
  ['no type', undefined, { schema }],
  ['a number for a type', 7, { schema }],
  ['no declaration', 'a', undefined],
  ['null for a declaration', 'a', null],
  ['a path for a key', 'a', { schema, key: 'orderId' }],
  ['a text for pii', 'a', { schema, pii: 'email' }],
  ['an object for examples', 'a', { schema, examples: {} }],
];
test.each(notTyped)('refuses from JavaScript: %s', (_, type, declaration) => {
  const define = (): unknown => defineEvent(type as Declared[0], declaration as Declared[1]);
  expect(define).toThrow(expect.objectContaining({ code: 'ER2010' }));
});

test.each([
  { events: [] },
  { source: undefined, events: [] },
  { source: 'shop' },
  { source: 'shop', events: [undefined] },
  { source: 'shop', events: {} },
])('refuses from JavaScript the catalogue %j', (catalog) => {
  const define = (): unknown => defineCatalog(catalog as unknown as { source: string; events: [] });
  expect(define).toThrow(expect.objectContaining({ code: 'ER2010' }));
});

test('refuses what is no Standard Schema', () => {
  const notOne = { parse: (value: unknown) => value } as unknown as StandardSchema;
  expect(() => defineEvent('a', { schema: notOne })).toThrow(expect.objectContaining({ code: 'ER2010' }));
});

test('takes a schema that is a function, as ArkType makes them', () => {
  const callable = Object.assign(() => undefined, {
    '~standard': { version: 1, vendor: 'arktype', validate: (value: unknown) => ({ value }) },
  }) as unknown as StandardSchema;
  expect(defineEvent('a', { schema: callable }).schema).toBe(callable);
});

test('a type and version may occur once in a catalogue', () => {
  const first = defineEvent('a', { schema });
  const second = defineEvent('a', { version: 2, schema });
  expect(defineCatalog({ source: 'shop', events: [first, second] }).events).toEqual([first, second]);
  expect(() => defineCatalog({ source: 'shop', events: [first, defineEvent('a', { schema })] })).toThrow(
    /ER2010.*a v1 occurs twice/,
  );
});

test.each(['', '/shop', 'my shop'])('refuses the source %j', (source) => {
  expect(() => defineCatalog({ source, events: [] })).toThrow(expect.objectContaining({ code: 'ER2010' }));
});

test('checkCatalog names each example that could not be emitted', async () => {
  const good = defineEvent('good', { schema, key: (data) => data.orderId, examples: [{ orderId: 'o1' }] });
  const bad = defineEvent('bad', {
    version: 2,
    schema: z.object({ orderId: z.string().refine(async (text) => text !== 'taken', 'is taken') }),
    key: (data) => data.orderId,
    examples: [{ orderId: 'free' }, { orderId: 'taken' }, { orderId: '' }],
  });
  const big = defineEvent('big', { schema: z.object({ n: z.bigint() }), examples: [{ n: 1n }] });
  const findings = await checkCatalog(defineCatalog({ source: 'shop', events: [good, bad, big] }));
  expect(findings.map(({ event, example, code }) => ({ event, example, code }))).toEqual([
    { event: 'bad v2', example: 1, code: 'ER2001' },
    { event: 'bad v2', example: 2, code: 'ER2008' },
    { event: 'big v1', example: 0, code: 'ER2007' },
  ]);
});
