import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { recordedTerminal } from '../cli/recorded-terminal.suite.ts';
import { configSchemaCommand, configShowCommand } from './config-command.ts';
import { configSchema } from './config-schema.ts';
import type { GivenSettings } from './load-configuration.ts';

const key = randomBytes(32).toString('base64');
const url = 'postgres://u:hunter2@h/db';

interface Shown {
  readonly out: readonly string[];
  readonly notes: readonly string[];
  readonly code: number | undefined;
  readonly error: unknown;
}

async function show(options: {
  readonly flags?: GivenSettings['flags'];
  readonly env?: Readonly<Record<string, string>>;
  readonly json?: boolean;
  readonly config?: string;
}): Promise<Shown> {
  const { terminal, out, notes } = recordedTerminal();
  const { signal } = new AbortController();
  const context = { terminal, signal, env: options.env ?? {}, json: options.json ?? false };
  try {
    const code = await configShowCommand(context, {
      flags: options.flags ?? {},
      config: options.config ?? false,
    });
    return { out, notes, code, error: undefined };
  } catch (error) {
    return { out, notes, code: undefined, error };
  }
}

const env = { DATABASE_URL: url, EVENT_RUNTIME_SECRET_KEY: `${key},${key}`, EVENT_RUNTIME_LEASE: '2s' };

test('each setting with its value and origin, and of a secret where it is kept', async () => {
  const { out, notes, code } = await show({ env, flags: { secretKeys: 'env:MY_KEY', 'relay.name': 'mine' } });
  expect(code).toBeUndefined();
  expect(out.find((line) => line.startsWith('secretKeys'))).toMatch(
    /^secretKeys +not valid +flag --secret-keys$/,
  );
  const good = await show({ env, flags: { 'relay.name': 'mine' } });
  expect(good).toMatchObject({ code: 0, error: undefined, notes: [] });
  const cells = good.out.map((line) => line.split(/ {2,}/));
  expect(cells).toEqual(
    expect.arrayContaining([
      ['configuration file: none'],
      ['databaseUrl', 'set (env:DATABASE_URL)', 'environment DATABASE_URL'],
      ['secretKeys', 'set (env:EVENT_RUNTIME_SECRET_KEY)', 'environment EVENT_RUNTIME_SECRET_KEY'],
      ['relay.name', 'mine', 'flag --relay-name'],
      ['relay.slot', 'mine', 'default relay.name'],
      ['relay.leaseMs', '2s', 'environment EVENT_RUNTIME_LEASE'],
      ['webhooks.egressAllow', 'none', 'default'],
    ]),
  );
  for (const text of [...out, ...notes, ...good.out]) {
    expect(text).not.toContain('hunter2');
    expect(text).not.toContain(key);
  }
});

test('what is missing is shown as that, and then told', async () => {
  const { out, notes, error } = await show({ env: { EVENT_RUNTIME_RELAY_SHARD: '2' } });
  expect(out).toContain('databaseUrl           missing');
  expect(notes).toEqual([
    '! The variable EVENT_RUNTIME_RELAY_SHARD is not known; did you mean EVENT_RUNTIME_RELAY_SHARDS?',
  ]);
  expect(error).toMatchObject({ code: 'ER5001', message: expect.stringContaining('databaseUrl is missing') });
});

test('--json is one object in any case', async () => {
  const good = await show({ env, json: true });
  expect(good).toMatchObject({ code: 0, notes: [], out: [expect.any(String)] });
  const object = JSON.parse(good.out[0]!) as { settings: Array<{ path: string }> };
  expect(object).toMatchObject({ file: null, problems: [], warnings: [] });
  const [first] = object.settings;
  expect(first).toEqual({
    path: 'databaseUrl',
    state: 'set',
    value: null,
    origin: { kind: 'environment', name: 'DATABASE_URL' },
    references: ['env:DATABASE_URL'],
  });
  expect(object.settings.find(({ path }) => path === 'relay.leaseMs')).toMatchObject({ value: 2_000 });
  expect(good.out[0]).not.toMatch(/hunter2/);
  expect(good.out[0]).not.toContain(key);
  const bad = await show({ env: { ...env, DATABASE_URL: '' }, json: true });
  expect(bad).toMatchObject({ code: 2, error: undefined });
  expect(JSON.parse(bad.out[0]!)).toMatchObject({ problems: [{ path: 'databaseUrl' }] });
});

test('sinks and routes with functions are shown as what they are', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'event-runtime-config-'));
  onTestFinished(async () => await rm(directory, { recursive: true }));
  const config = join(directory, 'c.mjs');
  await writeFile(
    config,
    `export default {
      sinks: [{ type: 'webhooks' }, { type: 'custom', name: 'mine', create: () => 1 }],
      routes: [
        { to: ['mine'], type: ['a', 'b'], header: { region: 'eu' }, filter: () => true, transform: () => '' },
        { to: ['webhooks', 'mine'] },
      ],
    };`,
  );
  const { out } = await show({ env, config });
  expect(out.map((line) => line.split(/ {2,}/).slice(0, 2))).toEqual(
    expect.arrayContaining([
      ['sinks', 'webhooks, custom mine'],
      ['routes', 'type=a,b header.region=eu filter to mine (transform); all to webhooks mine'],
    ]),
  );
  const { settings } = JSON.parse((await show({ env, config, json: true })).out[0]!) as {
    settings: Array<{ path: string; value: unknown }>;
  };
  const value = (path: string): unknown => settings.find((one) => one.path === path)?.value;
  expect(value('sinks')).toMatchObject([{}, { create: 'a function' }]);
  expect(value('routes')).toMatchObject([{ filter: 'a function', transform: 'a function' }, {}]);
});

test('the schema is printed as it is', async () => {
  const { terminal, out } = recordedTerminal();
  const { signal } = new AbortController();
  await configSchemaCommand({ terminal, signal, env: {}, json: false });
  expect(JSON.parse(out.join('\n'))).toEqual(configSchema());
});
