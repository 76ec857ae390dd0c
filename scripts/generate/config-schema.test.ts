import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { configSchema } from '../../packages/server/src/config/config-schema.ts';
import { mergeSettings } from '../../packages/server/src/config/merge.ts';
import { pages } from './pages.ts';
import { exampleConfiguration } from './settings-page.ts';

const text = pages.find(({ path }) => path === 'docs/reference/config.schema.json')?.make() ?? '';
const schema = z.fromJSONSchema(JSON.parse(text) as Parameters<typeof z.fromJSONSchema>[0]);
const { signal } = new AbortController();

/** What the product says of a file, without what is merely missing or not to be had. */
async function objections(content: unknown): Promise<string[]> {
  const { problems } = await mergeSettings(
    { flags: {}, env: {}, file: { name: 'a.json', path: '/a.json', content } },
    { signal },
  );
  return problems
    .map(({ text: told }) => told)
    .filter((told) => !/ is missing[;( ]| cannot be had/.test(told));
}

test('the page is the schema, compact or not', () => {
  expect(JSON.parse(text)).toEqual(configSchema());
});

describe.each([
  ['the example of the page', exampleConfiguration],
  ['nothing', {}],
  ['the name of a schema', { $schema: './config.schema.json' }],
  ['numbers for what has units', { relay: { pollMs: 50, windowBytes: 1_048_576 } }],
  ['text with units', { relay: { pollMs: '2s', windowBytes: '1MiB', leaseMs: '500ms' } }],
  [
    'every sink',
    { sinks: [{ type: 'webhooks' }, { type: 'null', name: 'a' }, { type: 'file', name: 'b', path: 'c' }] },
  ],
])('allowed by the schema and by the product: %s', (_what, content) => {
  test('both', async () => {
    expect(schema.safeParse(content).error).toBeUndefined();
    expect(await objections(content)).toEqual([]);
  });
});

describe.each([
  ['a list', []],
  ['an unknown name', { rolse: [] }],
  ['an unknown name in a group', { relay: { nmae: 'a' } }],
  ['a group that is none', { relay: 'a' }],
  ['a plain secret', { databaseUrl: 'postgres://u:p@h/db' }],
  ['a secret that is no list', { secretKeys: 'env:A' }],
  ['a plain secret in a list', { secretKeys: ['env:A', 'b'] }],
  ['a reference to a relative path', { databaseUrl: 'file:url.txt' }],
  ['a word that is none', { log: { level: 'INFO' } }],
  ['no role', { roles: [] }],
  ['a role that is none', { roles: ['relay', 'api'] }],
  ['text for a number', { http: { port: '8790' } }],
  ['a number that is too large', { http: { port: 65_536 } }],
  ['a fraction', { relay: { shards: 1.5 } }],
  ['text for a truth', { relay: { failover: 'true' } }],
  ['a duration without unit', { webhooks: { retryDelays: ['5'] } }],
  ['a size of another unit', { relay: { windowBytes: '1MB' } }],
  ['a network that is none', { webhooks: { egressAllow: ['everything'] } }],
  ['a name with a capital', { relay: { name: 'Mine' } }],
  ['no sink', { sinks: [] }],
  ['a sink of another type', { sinks: [{ type: 'kafka' }] }],
  ['a sink without its path', { sinks: [{ type: 'file', name: 'a' }] }],
  ['a sink with more', { sinks: [{ type: 'webhooks', name: 'a' }] }],
  ['null', { relay: { name: null } }],
  ['text for a function', { retention: { archive: './archive.ts' } }],
])('refused by the schema and by the product: %s', (_what, content) => {
  test('both', async () => {
    expect(schema.safeParse(content).success).toBe(false);
    expect(await objections(content)).not.toEqual([]);
  });
});
