import { describe, expect, test } from 'vitest';
import { mergeSettings } from './merge.ts';
import { enough, keys, merged, type Sources, signal, urls } from './merge-fixture.suite.ts';
import { type SettingPath, settingRows } from './settings-table.ts';

/** What the references of the examples lead to. */
const secrets = {
  URL_FLAG: urls.flag,
  URL_FILE: urls.file,
  KEY_FLAG: keys.flag,
  KEY_FILE: `${keys.file}, ${keys.old}`,
};

interface Example {
  /** Text and what it means. */
  readonly flag?: readonly [string, unknown];
  readonly env?: readonly [string, unknown];
  readonly file: readonly [unknown, unknown];
}

const same = <T>(value: T): readonly [T, T] => [value, value];

/** A value of each source for every setting: a new setting needs its row here. */
const examples: Readonly<Record<SettingPath, Example>> = {
  databaseUrl: { flag: ['env:URL_FLAG', urls.flag], env: same(urls.env), file: ['env:URL_FILE', urls.file] },
  secretKeys: {
    flag: ['env:KEY_FLAG', [keys.flag]],
    env: [` ${keys.env},${keys.old} `, [keys.env, keys.old]],
    file: [['env:KEY_FILE'], [keys.file, keys.old]],
  },
  roles: {
    flag: ['webhooks', ['webhooks']],
    env: ['webhooks, relay', ['webhooks', 'relay']],
    file: same(['webhooks']),
  },
  sinks: {
    file: same([{ type: 'null', name: 'a' }, { type: 'webhooks' }, { type: 'file', name: 'b', path: '/c' }]),
  },
  routes: {
    file: same([
      { to: ['webhooks'], type: 'order.*', header: { region: ['eu-*', 'us-*'] }, filter: () => true },
      { to: ['webhooks'], tenant: ['a', 'b'], ecosystem: 'x', onError: 'retry' },
    ]),
  },
  'relay.name': { flag: same('a'), env: same('b_1'), file: same('c'.repeat(63)) },
  'relay.slot': { flag: same('a'), env: same('b_1'), file: same('c'.repeat(63)) },
  'relay.source': { flag: same('table'), env: same('wal'), file: same('table') },
  'relay.shards': { flag: ['1', 1], env: ['1', 1], file: same(1) },
  'relay.pollMs': { flag: ['250', 250], env: ['2s', 2_000], file: ['1m', 60_000] },
  'relay.windowBytes': {
    flag: ['1MiB', 1_048_576],
    env: ['2097152', 2_097_152],
    file: ['4GiB', 4_294_967_296],
  },
  'relay.failover': { flag: ['true', true], env: ['false', false], file: same(true) },
  'relay.unboundedWal': { flag: same('warn'), env: same('refuse'), file: same('warn') },
  'relay.leaseMs': { flag: ['500ms', 500], env: ['1s', 1_000], file: same(5_000) },
  'retention.outboxDays': { flag: ['1', 1], env: ['2', 2], file: same(3) },
  'retention.maxDays': { flag: ['41', 41], env: ['42', 42], file: same(43) },
  'retention.keyDays': { flag: ['1', 1], env: ['2', 2], file: same(3_650) },
  'retention.replayDays': { flag: ['1', 1], env: ['2', 2], file: same(3_650) },
  'retention.archive': { file: same(async () => undefined) },
  'webhooks.egressAllow': {
    flag: ['', []],
    env: [' 10.0.0.0/8,::1 ,', ['10.0.0.0/8', '::1']],
    file: same(['fd00::/8']),
  },
  'webhooks.retryDelays': {
    flag: ['', []],
    env: ['0s,250ms,5m,720h', [0, 250, 300_000, 2_592_000_000]],
    file: [
      ['1s', '2h'],
      [1_000, 7_200_000],
    ],
  },
  'http.host': { flag: same('0.0.0.0'), env: same('::1'), file: same('service.internal') },
  'http.port': { flag: ['0', 0], env: ['8080', 8_080], file: same(65_535) },
  'log.level': { flag: same('debug'), env: same('silent'), file: same('error') },
};

function inFile(path: string, value: unknown): Record<string, unknown> {
  const [head = '', tail] = path.split('.');
  return { [head]: tail === undefined ? value : { [tail]: value } };
}

describe.each(settingRows.map(([path, setting]) => ({ path, setting })))('$path', ({ path, setting }) => {
  const { flag, env, file } = examples[path];

  test('flag over environment over file over default; each says where it is from', async () => {
    const flags = flag === undefined ? {} : { [path]: flag[0] };
    const variables = env === undefined || setting.env === null ? {} : { [setting.env]: env[0] };
    const content = inFile(path, file[0]);
    const all = { flags, env: { ...enough, ...secrets, ...variables }, file: content };
    const seen = async (sources: Sources): Promise<unknown> => {
      const { settings, problems } = await merged(sources);
      expect(problems).toEqual([]);
      const found = settings.find((one) => one.path === path);
      return [found?.value, found?.origin];
    };
    if (flag !== undefined) {
      expect(await seen(all)).toEqual([flag[1], { kind: 'flag', name: setting.flag }]);
    }
    if (env !== undefined) {
      expect(await seen({ ...all, flags: {} })).toEqual([env[1], { kind: 'environment', name: setting.env }]);
    }
    // A variable that is empty is not set.
    const without = { ...all.env, [setting.env ?? '-']: '' };
    const other =
      path === 'databaseUrl' ? { EVENT_RUNTIME_SECRET_KEY: keys.env } : { DATABASE_URL: urls.env };
    expect(
      await seen({ file: content, env: { ...secrets, ...without, ...(setting.secret ? other : enough) } }),
    ).toEqual([file[1], { kind: 'file', name: 'conf.json' }]);
    if (setting.secret) return;
    const byDefault = 'value' in setting.default ? setting.default.value : 'event_runtime';
    const name = 'sameAs' in setting.default ? setting.default.sameAs : '';
    expect(await seen({ env: enough })).toEqual([byDefault, { kind: 'default', name }]);
  });

  test('the default, shown, is read as the default', () => {
    if (setting.secret || !('value' in setting.default) || setting.flag === null) return;
    const text = setting.kind.show(setting.default.value);
    expect(setting.kind.fromText(text)).toEqual({ value: setting.default.value });
  });

  test('its names are of one form', () => {
    const words = path.replaceAll(/[.A-Z]/g, (letter) => (letter === '.' ? '-' : `-${letter.toLowerCase()}`));
    expect([null, `--${words}`]).toContain(setting.flag);
    expect(setting.env ?? 'EVENT_RUNTIME_NONE').toMatch(/^(EVENT_RUNTIME_[A-Z_]+|DATABASE_URL)$/);
    expect(setting.about).toMatch(/^\S.*\.$/);
  });
});

test('no flag and no variable means two settings', () => {
  for (const name of ['flag', 'env'] as const) {
    const names = settingRows.flatMap(([, setting]) => setting[name] ?? []);
    expect(new Set(names).size).toBe(names.length);
  }
});

test('the slot has the name of the relay, wherever that is from', async () => {
  const { settings } = await merged({ env: enough, file: { relay: { name: 'mine' } } });
  expect(settings.find(({ path }) => path === 'relay.slot')).toMatchObject({
    value: 'mine',
    origin: { kind: 'default', name: 'relay.name' },
  });
});

test('`only`: the others are not looked at, but a name that is not known is still told', async () => {
  const file = {
    name: 'conf.json',
    path: '/conf.json',
    content: { databaseUlr: 'env:A', secretKeys: ['env:NO'] },
  };
  const env = { EVENT_RUNTIME_RELAY_SHARDS: 'many' };
  const { settings, problems } = await mergeSettings(
    { flags: {}, env, file },
    { signal, only: ['databaseUrl'] },
  );
  expect(settings.map(({ path }) => path)).toEqual(['databaseUrl']);
  expect(problems.map(({ text }) => text)).toEqual([
    'databaseUlr is not known, from conf.json; did you mean databaseUrl?',
    'databaseUrl is missing; it can be given by DATABASE_URL, --database-url, databaseUrl in a configuration file.',
  ]);
});
