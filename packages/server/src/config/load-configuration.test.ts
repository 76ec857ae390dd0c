import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { configurationWith, loadConfiguration, loadDatabaseUrl } from './load-configuration.ts';

const key = randomBytes(32).toString('base64');
const env = { DATABASE_URL: 'postgres://u:hunter2@h/db', EVENT_RUNTIME_SECRET_KEY: key };
const { signal } = new AbortController();

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'event-runtime-config-'));
  await mkdir(join(directory, 'conf'));
  await writeFile(
    join(directory, 'conf/one.json'),
    JSON.stringify({
      $schema: './config.schema.json',
      relay: { name: 'filed' },
      sinks: [
        { type: 'file', name: 'near', path: 'events.ndjson' },
        { type: 'file', name: 'far', path: '/var/events.ndjson' },
      ],
    }),
  );
  await writeFile(join(directory, 'wrong.json'), '{"rolse": 1, "http": {"port": -1}}');
});
afterAll(async () => await rm(directory, { recursive: true }));

const defaults = {
  databaseUrl: env.DATABASE_URL,
  secretKeys: [key],
  roles: ['relay', 'webhooks'],
  sinks: [{ type: 'webhooks' }],
  relay: {
    name: 'event_runtime',
    slot: 'event_runtime',
    source: 'wal',
    shards: 1,
    pollMs: 100,
    windowBytes: 33_554_432,
    failover: true,
    unboundedWal: 'refuse',
    leaseMs: 3_500,
  },
  retention: { outboxDays: 30, maxDays: 90, keyDays: 30, replayDays: 365 },
  webhooks: {
    egressAllow: [],
    retryDelays: [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400].map((s) => s * 1_000),
  },
  http: { host: '127.0.0.1', port: 8_790 },
  log: { level: 'info' },
};

test('what is needed is enough; the rest has defaults', async () => {
  expect(await loadConfiguration({ given: { flags: {} }, env, signal, directory })).toEqual(defaults);
});

test('a file, and a flag over it; a path in a file begins at the file', async () => {
  const given = { flags: { 'relay.slot': 'flagged' }, config: 'conf/one.json' };
  expect(await loadConfiguration({ given, env, signal, directory })).toEqual({
    ...defaults,
    relay: { ...defaults.relay, name: 'filed', slot: 'flagged' },
    sinks: [
      { type: 'file', name: 'near', path: join(directory, 'conf/events.ndjson') },
      { type: 'file', name: 'far', path: '/var/events.ndjson' },
    ],
  });
});

test('without the role webhooks there are no keys', async () => {
  const given = { flags: { roles: 'relay' } };
  expect(await loadConfiguration({ given, env, signal, directory })).toMatchObject({ secretKeys: [] });
});

test('one problem: its own remedy', async () => {
  const load = loadConfiguration({
    given: { flags: {} },
    env: { ...env, DATABASE_URL: '' },
    signal,
    directory,
  });
  await expect(load).rejects.toMatchObject({
    code: 'ER5001',
    message:
      'ER5001 A setting is missing or not valid. databaseUrl is missing; it can be given by DATABASE_URL, --database-url, databaseUrl in a configuration file. — Set DATABASE_URL=postgres://user:password@host:5432/database (a password is percent-encoded: / is %2F).',
  });
});

test('several problems: a line for each, with what to do below', async () => {
  const given = { flags: {}, config: 'wrong.json' };
  const load = loadConfiguration({ given, env: { EVENT_RUNTIME_SECRET_KEY: key }, signal, directory });
  const message = [
    'ER5001 A setting is missing or not valid. rolse is not known, from wrong.json; did you mean roles?',
    'http.port is -1, from wrong.json; it must be a whole number from 0 to 65535.',
    'databaseUrl is missing; it can be given by DATABASE_URL, --database-url, databaseUrl in a configuration file.',
    '  → Set DATABASE_URL=postgres://user:password@host:5432/database (a password is percent-encoded: / is %2F). — Correct these 3; `event-runtime config` shows every setting.',
  ].join('\n');
  await expect(load).rejects.toMatchObject({ code: 'ER5001', message });
});

test('the URL alone needs nothing else', async () => {
  const given = { flags: {}, config: false } as const;
  const alone = { DATABASE_URL: env.DATABASE_URL, EVENT_RUNTIME_RELAY_SHARDS: 'many' };
  expect(await loadDatabaseUrl({ given, env: alone, signal, directory })).toBe(env.DATABASE_URL);
  await expect(loadDatabaseUrl({ given, env: {}, signal, directory })).rejects.toMatchObject({
    code: 'ER5001',
  });
});

test('a configuration of a command: defaults, and what it says', () => {
  expect(configurationWith({ databaseUrl: env.DATABASE_URL, 'relay.name': 'dev', 'http.port': 0 })).toEqual({
    ...defaults,
    secretKeys: [],
    relay: { ...defaults.relay, name: 'dev', slot: 'dev' },
    http: { ...defaults.http, port: 0 },
  });
});
