import { EventRuntimeError } from '@event-runtime/outbox';
import { expect, test } from 'vitest';
import { serverError } from '../server-error.ts';
import type { Composition } from './composition.ts';
import { exitCode } from './exit-code.ts';
import { recordedTerminal } from './recorded-terminal.suite.ts';
import { run } from './run.ts';
import { terminalOf } from './terminal.ts';

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly notes: string;
  readonly given: ReadonlyArray<readonly [string, unknown]>;
}

async function ran(
  args: readonly string[],
  options: { readonly work?: () => Promise<0 | 1 | 3>; readonly signal?: AbortSignal } = {},
): Promise<Ran> {
  const { terminal, out, notes } = recordedTerminal();
  const given: Array<readonly [string, unknown]> = [];
  const command = (name: string) => async (_context: unknown, asked: unknown) => {
    given.push([name, asked]);
    return await (options.work ?? (async () => exitCode.ok))();
  };
  const composition: Composition = {
    start: command('start'),
    configShow: command('configShow'),
    configSchema: command('configSchema'),
    dev: command('dev'),
    migrate: command('migrate'),
    demo: command('demo'),
    explain: command('explain'),
    status: command('status'),
    lag: command('lag'),
    doctor: command('doctor'),
    slot: command('slot'),
    sinksList: command('sinksList'),
    sinkPause: command('sinkPause'),
    sinkRewind: command('sinkRewind'),
    replayCreate: command('replayCreate'),
    replayList: command('replayList'),
    replayShow: command('replayShow'),
    replayChange: command('replayChange'),
    deadLettersList: command('deadLettersList'),
    deadLetterShow: command('deadLetterShow'),
    deadLettersRedrive: command('deadLettersRedrive'),
    deadLettersCancel: command('deadLettersDiscard'),
    deadLettersDiscard: command('deadLettersDiscard'),
    routesTest: command('routesTest'),
    tableAttach: command('tableAttach'),
    tableDetach: command('tableDetach'),
    tablesList: command('tablesList'),
    relayConfig: command('relayConfig'),
    uninstall: command('uninstall'),
  };
  const signal = options.signal ?? new AbortController().signal;
  const code = await run({ args, terminal, env: {}, signal, composition });
  return { code, out: out.join('\n'), notes: notes.join('\n'), given };
}

const failing = (error: unknown) => async (): Promise<0> => {
  throw error;
};

test('an event is named by its id, or described; a header is given several times', async () => {
  const settings = { json: false, flags: {}, config: undefined };
  expect((await ran(['routes', 'test', 'some-id'])).given).toEqual([
    ['routesTest', { ...settings, event: 'some-id', header: [] }],
  ]);
  expect((await ran(['routes', 'test', '--header', 'x=1', 'some-id'])).given).toEqual([
    ['routesTest', { ...settings, event: 'some-id', header: ['x=1'] }],
  ]);
  const words = [
    'routes',
    'test',
    '--type',
    'a.b',
    '--tenant',
    't',
    '--header',
    'x=1',
    '--header',
    'y=2',
    '--json',
  ];
  expect((await ran(words)).given).toEqual([
    ['routesTest', { ...settings, json: true, type: 'a.b', tenant: 't', header: ['x=1', 'y=2'] }],
  ]);
});

test('the words about tables mean their commands; --map takes several, and more than once', async () => {
  const settings = { json: false, flags: {}, config: undefined };
  for (const words of [['tables'], ['tables', 'list']]) {
    expect((await ran(words)).given).toEqual([['tablesList', settings]]);
  }
  expect((await ran(['tables', 'attach', 'a.b'])).given).toEqual([
    ['tableAttach', { ...settings, table: 'a.b', preset: undefined, map: [], dryRun: false }],
  ]);
  const attach = [
    'tables',
    'attach',
    'a.b',
    '--map',
    'x=y',
    'tenant=:z',
    '--preset',
    'debezium',
    '--map',
    'v=w',
  ];
  expect((await ran([...attach, '--dry-run'])).given).toEqual([
    [
      'tableAttach',
      { ...settings, table: 'a.b', preset: 'debezium', map: ['x=y', 'tenant=:z', 'v=w'], dryRun: true },
    ],
  ]);
  expect((await ran(['tables', 'detach', 'a.b'])).given).toEqual([
    ['tableDetach', { ...settings, table: 'a.b', dryRun: false }],
  ]);
  expect(await ran(['tables', 'attach', 'a.b', '--preset', 'other'])).toMatchObject({ code: 2, given: [] });
});

test('relay-config takes the name of a relay that it knows', async () => {
  expect((await ran(['relay-config', 'sequin', '--relay-slot', 'a'])).given).toEqual([
    ['relayConfig', { relay: 'sequin', json: false, flags: { 'relay.slot': 'a' }, config: undefined }],
  ]);
  for (const words of [['relay-config'], ['relay-config', 'other']]) {
    expect(await ran(words)).toMatchObject({ code: 2, given: [] });
  }
});

test('the words mean their commands, with defaults', async () => {
  expect((await ran(['start'])).given).toEqual([['start', { json: false, flags: {}, config: undefined }]]);
  expect((await ran(['migrate', '--dry-run'])).given).toEqual([
    ['migrate', { dryRun: true, plan: false, status: false, json: false, flags: {}, config: undefined }],
  ]);
  expect((await ran(['start', '--no-config', '--relay-poll-ms', '5s', '--roles=relay'])).given).toEqual([
    ['start', { json: false, flags: { 'relay.pollMs': '5s', roles: 'relay' }, config: false }],
  ]);
  expect((await ran(['migrate', '--config', 'a.json', '--database-url', 'env:A'])).given).toEqual([
    [
      'migrate',
      {
        dryRun: false,
        plan: false,
        status: false,
        json: false,
        flags: { databaseUrl: 'env:A' },
        config: 'a.json',
      },
    ],
  ]);
  const show = ['configShow', { json: true, flags: { 'log.level': 'debug' }, config: undefined }];
  for (const words of [['config'], ['config', 'show']]) {
    expect((await ran([...words, '--log-level', 'debug', '--json'])).given).toEqual([show]);
  }
  expect((await ran(['config', 'schema'])).given).toEqual([['configSchema', {}]]);
  expect((await ran(['demo', '--seed', '5'])).given).toEqual([
    ['demo', { sink: 'webhooks', events: 1_000, kill: false, seed: 5, rate: 300, json: false }],
  ]);
  const killing = ['--events', '20000', '--kill', '--json', '--seed', '0'];
  expect((await ran(['demo', '--sink', 'nats', ...killing])).given).toEqual([
    ['demo', { sink: 'nats', events: 20_000, kill: true, seed: 0, rate: 0, json: true }],
  ]);
  expect((await ran(['explain', 'ER1203'])).given).toEqual([['explain', { json: false, code: 'ER1203' }]]);
  expect((await ran(['explain', '--json'])).given).toEqual([['explain', { json: true, code: undefined }]]);
});

test("the operator's words", async () => {
  const given = { json: false, flags: {}, config: undefined };
  const meant = async (...args: string[]): Promise<unknown> => (await ran(args)).given;
  expect(await meant('status', '--json')).toEqual([['status', { ...given, json: true }]]);
  expect(await meant('lag')).toEqual([['lag', given]]);
  expect(await meant('doctor', '--database-url', 'env:A')).toEqual([
    ['doctor', { ...given, flags: { databaseUrl: 'env:A' } }],
  ]);
  for (const words of [['slot'], ['slot', 'show'], ['slot', 'status']]) {
    expect(await meant(...words)).toEqual([
      ['slot', { ...given, action: 'show', yes: false, dryRun: false }],
    ]);
  }
  expect(await meant('slot', '--json')).toEqual([
    ['slot', { ...given, json: true, action: 'show', yes: false, dryRun: false }],
  ]);
  expect(await meant('slot', 'drop', '--yes')).toEqual([
    ['slot', { ...given, action: 'drop', yes: true, dryRun: false }],
  ]);
  expect(await meant('slot', 'drop', '--dry-run')).toEqual([
    ['slot', { ...given, action: 'drop', yes: false, dryRun: true }],
  ]);
  expect(await meant('slot', 'create', '--quiet', '--dry-run')).toEqual([
    ['slot', { ...given, quiet: true, action: 'create', yes: false, dryRun: true }],
  ]);
  expect(await meant('sinks')).toEqual([['sinksList', given]]);
  expect(await meant('sinks', 'pause', 'nats')).toEqual([
    ['sinkPause', { ...given, sink: 'nats', paused: true, dryRun: false }],
  ]);
  expect(await meant('sinks', 'resume', 'nats', '--dry-run')).toEqual([
    ['sinkPause', { ...given, sink: 'nats', paused: false, dryRun: true }],
  ]);
  expect(await meant('uninstall', '--dry-run')).toEqual([
    ['uninstall', { ...given, dryRun: true, yes: false }],
  ]);
  expect((await ran(['sinks', 'pause'])).code).toBe(2);
  expect((await ran(['migrate', '--plan', '--dry-run'])).code).toBe(2);
});

test('the exit code is what the command says', async () => {
  expect((await ran(['start'])).code).toBe(0);
  expect((await ran(['start'], { work: async () => exitCode.failed })).code).toBe(1);
  expect((await ran(['start'], { work: async () => exitCode.notHealthy })).code).toBe(3);
});

test.each([
  [['demmo'], /did you mean demo/i],
  [['demo', '--sink', 'kafka'], /Allowed choices are webhooks, nats/],
  [['demo', '--events', '0'], /whole number, 1 or more/],
  [['demo', '--events', '1e3'], /whole number/],
  [['demo', '--evnets', '10'], /did you mean --events/i],
  [['start', 'surplus'], /too many arguments/i],
  [['start', '--relay-nmae', 'x'], /did you mean --relay-name/i],
  [['start', '--relay-name'], /argument missing/i],
  [['migrate', '--roles', 'relay'], /unknown option/i],
  [['config', 'shwo'], /unknown command 'shwo' of config\n\(Did you mean show\?\)/],
  [['sinks', 'pase', 'x'], /unknown command 'pase' of sinks\n\(Did you mean pause\?\)/],
  [['sinks', 'pase', 'x', '--dry-run'], /Did you mean pause\?/],
  [['slot', 'dorp', '--yes'], /Did you mean drop\?/],
  [['slot', 'nonsense'], /There are show, status, create, drop\./],
  [['slot', 'drop', '--dry-rnu'], /did you mean --dry-run/i],
  [[], /Usage: event-runtime/],
])('%j is a matter of usage', async (args, told) => {
  const { code, out, notes, given } = await ran(args);
  expect(code).toBe(2);
  expect(notes).toMatch(told);
  expect(out).toBe('');
  expect(given).toEqual([]);
});

test.each([
  [['demmo', '--json'], "unknown command 'demmo' (Did you mean demo?)"],
  [['slot', 'dorp', '--json'], "unknown command 'dorp' of slot (Did you mean drop?)"],
  [['sinks', 'pause', '--json'], "missing required argument 'sink'"],
])('%j is told to programs, too', async (args, detail) => {
  const { code, out, given } = await ran(args);
  expect([code, given]).toEqual([2, []]);
  expect(JSON.parse(out)).toEqual({
    error: {
      code: 'ER5010',
      meaning: 'The command line is not valid.',
      detail,
      remedy: 'Run the command with --help for what there is.',
      retryable: false,
      page: 'docs/reference/errors.md#er5010',
    },
  });
});

test('every command that does something takes --json', async () => {
  const words = [['dev'], ['demo'], ['start'], ['migrate'], ['status'], ['lag'], ['doctor'], ['explain']];
  const groups = [
    ['config'],
    ['slot'],
    ['slot', 'create'],
    ['slot', 'drop'],
    ['sinks'],
    ['sinks', 'pause', 'a'],
  ];
  for (const each of [...words, ...groups, ['sinks', 'resume', 'a'], ['uninstall']]) {
    expect(await ran([...each, '--json'])).toMatchObject({
      code: 0,
      given: [[expect.any(String), { json: true }]],
    });
  }
});

test('every command that changes something takes --dry-run', async () => {
  for (const each of [
    ['migrate'],
    ['slot', 'create'],
    ['slot', 'drop'],
    ['sinks', 'pause', 'a'],
    ['uninstall'],
    ['tables', 'attach', 'a'],
    ['tables', 'detach', 'a'],
  ]) {
    expect((await ran([...each, '--dry-run'])).given).toMatchObject([[expect.any(String), { dryRun: true }]]);
  }
});

test('help and version that were asked for are no failure', async () => {
  const help = await ran(['--help']);
  expect(help.code).toBe(0);
  for (const command of ['dev', 'demo', 'start', 'migrate']) expect(help.out).toContain(command);
  expect(await ran(['--version'])).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+$/) });
});

test('a coded error is shown as code, meaning, detail, cause, remedy', async () => {
  const cause = new Error('connect ECONNREFUSED 127.0.0.1:5432');
  const { code, out, notes } = await ran(['start'], {
    work: failing(serverError('ER1001', { detail: 'Host 127.0.0.1.', cause })),
  });
  expect(code).toBe(1);
  expect(out).toBe('');
  expect(notes.split('\n')).toEqual([
    '✗ ER1001  The database cannot be reached.',
    '    Host 127.0.0.1.',
    '    cause: connect ECONNREFUSED 127.0.0.1:5432',
    '    → Check DATABASE_URL, that PostgreSQL is running and that this machine may connect.',
    '    docs/operations/doctor.md#er1001',
  ]);
});

test('with --json it is one object, and an invalid setting is usage', async () => {
  const { code, out, notes } = await ran(['start', '--json'], {
    work: failing(serverError('ER5001', { detail: 'DATABASE_URL is missing.', remedy: 'Set it.' })),
  });
  expect(code).toBe(2);
  expect(notes).toBe('');
  expect(JSON.parse(out)).toEqual({
    error: {
      code: 'ER5001',
      meaning: 'A setting is missing or not valid.',
      detail: 'DATABASE_URL is missing.',
      remedy: 'Set it.',
      retryable: false,
      page: 'docs/reference/errors.md#er5001',
    },
  });
});

test('a cause that the detail has told is not told again, and neither is one without words', async () => {
  const cause = new AggregateError([new Error('connect ECONNREFUSED ::1:1')], 'several');
  cause.message = '';
  const told = serverError('ER1001', { cause });
  expect((await ran(['start'], { work: failing(told) })).notes).not.toContain('cause:');
  const same = serverError('ER1001', { detail: 'It says: boom.', cause: new Error('boom') });
  expect((await ran(['start'], { work: failing(same) })).notes).not.toContain('cause:');
});

test('an error without a code, and one of a newer catalogue, are still told', async () => {
  expect((await ran(['start'], { work: failing(new Error('boom')) })).notes).toBe('✗ boom');
  const entry = { meaning: 'New trouble.', remedy: 'Act.', retryable: false };
  const unknown = new EventRuntimeError({ code: 'ER7777', entry }, { detail: 'Here.' });
  expect((await ran(['start'], { work: failing(unknown) })).notes).toBe(
    '✗ ER7777  New trouble. Here.\n    → Act.',
  );
});

test('a command that was stopped says so, and does not count as done', async () => {
  const stop = new AbortController();
  stop.abort();
  const stopped = await ran(['start'], { signal: stop.signal, work: failing(stop.signal.reason) });
  expect(stopped).toMatchObject({ code: 1, notes: 'stopped' });
  const other = await ran(['start'], { signal: stop.signal, work: failing(new Error('boom')) });
  expect(other.notes).toBe('✗ boom');
});

test.each([
  [{ NO_COLOR: '1', FORCE_COLOR: '1' }, true, false],
  [{ NO_COLOR: '' }, true, true],
  [{}, true, true],
  [{}, false, false],
  [{ FORCE_COLOR: '1' }, false, true],
  [{ FORCE_COLOR: '0' }, false, false],
  [{ TERM: 'dumb' }, true, false],
])('colours: %j, terminal %j: %j', (env, isTTY, colored) => {
  const stream = { write: () => true, isTTY };
  expect(terminalOf({ stdout: stream, stderr: stream, env }).colors.isColorSupported).toBe(colored);
});

test('a redrawn line is taken away before another is written, and never drawn where it cannot be', () => {
  for (const isTTY of [true, false]) {
    const written: string[] = [];
    const stderr = { write: (text: string) => written.push(text), isTTY, columns: 10 };
    const terminal = terminalOf({ stdout: { write: () => true }, stderr, env: {} });
    terminal.redraw('0123456789abc');
    terminal.note('done');
    const all = written.join('');
    expect(all).toBe(isTTY ? '\r\u001b[2K012345678\r\u001b[2Kdone\n' : 'done\n');
  }
});

test('several lines that were redrawn are all taken away, and cut to the width', () => {
  const written: string[] = [];
  const stderr = { write: (text: string) => written.push(text), isTTY: true, columns: 5 };
  const terminal = terminalOf({ stdout: { write: () => true }, stderr, env: {} });
  terminal.redraw('abcdefgh\nx\ny');
  terminal.redraw('z');
  const up = '\u001b[1A\u001b[2K';
  expect(written.join('')).toBe(`\r\u001b[2Kabcd\nx\ny\r\u001b[2K${up}${up}z`);
});
