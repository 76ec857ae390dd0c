import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { refusal } from './floors.ts';

/** Written here a second time on purpose: a slip in the linter's table must not move the expectation too. */
const floors: readonly (readonly string[])[] = [
  ['errors', 'internal'],
  ['lifecycle', 'telemetry'],
  ['schema', 'replication'],
  ['log', 'sinks', 'tenancy', 'audit'],
  ['relay', 'streams'],
  ['worker', 'webhooks', 'dead-letters'],
  ['testing'],
];
const sideways = [
  'internal>errors',
  'lifecycle>telemetry',
  'sinks>log',
  'audit>tenancy',
  'dead-letters>webhooks',
];
const rooms = floors.flat();
const floorOf = (room: string): number => floors.findIndex((names) => names.includes(room));

test('every room that is there is here', () => {
  const folders = readdirSync(join(import.meta.dirname, '../../packages/runtime/src'), {
    withFileTypes: true,
  })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  expect(folders.length).toBeGreaterThan(10);
  expect(folders.filter((name) => !rooms.includes(name))).toEqual([]);
});

test.each(rooms)('%s/ may import what is below it, and nothing else', (from) => {
  for (const to of rooms) {
    const allowed = from === to || floorOf(to) < floorOf(from) || sideways.includes(`${from}>${to}`);
    for (const depth of ['', 'deep/']) {
      const up = depth === '' ? '..' : '../..';
      const answer = refusal(`packages/runtime/src/${from}/${depth}x.ts`, `${up}/${to}/y.ts`);
      expect(answer === undefined, `${from}/${depth} -> ${to}: ${answer}`).toBe(allowed);
    }
  }
});

test.each([
  ['packages/outbox/src/emit.ts', 'pg', 'no dependencies'],
  ['packages/outbox/src/emit.ts', '@event-runtime/runtime', 'may import no package of ours'],
  ['packages/runtime/src/log/x.ts', '@event-runtime/pcm', 'may import @event-runtime/outbox'],
  ['packages/runtime/src/log/x.ts', '@event-runtime/outbox/dist/errors/codes.js', 'may import'],
  ['packages/runtime/src/log/x.ts', '@event-runtime/runtime', 'may import'],
  ['packages/runtime/src/sinks/nats/x.ts', 'pg', 'must not know pg'],
  ['packages/runtime/src/log/x.ts', '../../../outbox/src/index.ts', 'another package'],
  ['packages/runtime/src/log/x.ts', '../index.ts', 'public entry'],
  ['packages/runtime/src/log/x.ts', '../../../../scripts/check.ts', 'outside'],
  ['packages/runtime/src/attic/x.ts', '../errors/codes.ts', 'no floor yet'],
  ['packages/runtime/src/webhooks/x.ts', '../attic/x.ts', 'no floor yet'],
  ['packages/pcm/src/x.ts', '@event-runtime/outbox', 'may import @event-runtime/runtime'],
  ['packages/pcm/src/x.ts', 'event-runtime', 'may import @event-runtime/runtime'],
  ['packages/console/src/x.ts', '@event-runtime/runtime', 'may import no package of ours'],
  ['packages/attic/src/x.ts', 'pg', 'not in scripts/lint/floors.ts'],
])('%s must not import %s', (file, specifier, why) => {
  expect(refusal(file, specifier)).toContain(why);
});

test.each([
  ['packages/runtime/src/index.ts', './webhooks/x.ts'],
  ['packages/runtime/src/testing/index.ts', './embedded-postgres.ts'],
  ['packages/runtime/src/log/x.ts', 'node:fs'],
  ['packages/runtime/src/log/x.ts', 'pg'],
  ['packages/runtime/src/log/x.ts', '@event-runtime/outbox'],
  ['packages/runtime/src/log/x.test.ts', '../webhooks/x.ts'],
  ['packages/pcm/src/x.ts', '@event-runtime/runtime'],
  ['packages/server/src/x.ts', '@event-runtime/runtime/testing'],
  ['packages/server/src/x.ts', '../package.json'],
  ['scripts/x.ts', '../packages/runtime/src/log/x.ts'],
])('%s may import %s', (file, specifier) => {
  expect(refusal(file, specifier)).toBeUndefined();
});

interface Diagnostic {
  readonly code: string;
  readonly filename: string;
}

/** One violation per line: the file, the rule that must speak, the source. */
const planted: readonly (readonly [string, string, string])[] = [
  ...rooms.flatMap((from): (readonly [string, string, string])[] => {
    const above = rooms.find((to) => floorOf(to) > floorOf(from));
    if (above === undefined) return [];
    const source = `import { y } from '../${above}/y.ts';\nexport const x = y;\n`;
    return [[`packages/runtime/src/${from}/planted.ts`, 'floors', source]];
  }),
  ['packages/runtime/src/log/typed.ts', 'floors', "export type X = import('../relay/y.ts').Y;\n"],
  ['packages/runtime/src/log/lazy.ts', 'floors', "export const x = await import('../relay/y.ts');\n"],
  ['packages/runtime/src/log/onward.ts', 'floors', "export { y } from '../relay/y.ts';\n"],
  ['packages/outbox/src/planted.ts', 'floors', "import pg from 'pg';\nexport const x = pg;\n"],
  ['packages/runtime/src/log/barrel.ts', 'no-inner-barrel', "export { y } from './y.ts';\n"],
  ['packages/runtime/src/index.ts', 'no-inner-barrel', "export * from './log/y.ts';\n"],
  ['packages/runtime/src/log/star.ts', 'no-select-star', "export const x = 'select * from t';\n"],
  [
    'packages/runtime/src/log/returning.ts',
    'no-select-star',
    'export const x = `delete from t\nreturning t.*`;\n',
  ],
  [
    'packages/runtime/src/replication/table.ts',
    'replication-knows-no-table',
    'export const x = `event_runtime.outbox`;\n',
  ],
];

const clean: readonly (readonly [string, string])[] = [
  ['packages/runtime/src/log/y.ts', "export const y = 'select count(*) from t';\n"],
  ['packages/runtime/src/relay/y.ts', "import { y } from '../log/y.ts';\nexport const x = y;\n"],
  ['packages/runtime/src/relay/y.test.ts', "export const x = 'select * from t';\n"],
];

let folder = '';
let diagnostics: readonly Diagnostic[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'event-runtime-lint-'));
  for (const [file, source] of [...planted.map(([name, , text]) => [name, text] as const), ...clean]) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), source);
  }
  const root = join(import.meta.dirname, '../..');
  const output = await new Promise<string>((resolve) => {
    const args = [
      join(root, 'node_modules/.bin/oxlint'),
      '-c',
      join(root, '.oxlintrc.json'),
      '--format=json',
      '.',
    ];
    execFile(process.execPath, args, { cwd: folder }, (_error, stdout) => resolve(stdout));
  });
  diagnostics = (JSON.parse(output) as { diagnostics: Diagnostic[] }).diagnostics;
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

test.each(planted)('the linter refuses %s (%s)', (file, rule) => {
  const codes = diagnostics.filter(({ filename }) => filename === file).map(({ code }) => code);
  expect(codes).toContain(`event-runtime(${rule})`);
});

test('the linter refuses nothing of ours in right code', () => {
  const files = clean.map(([file]) => file);
  expect(
    diagnostics.filter(({ filename, code }) => files.includes(filename) && code.startsWith('event-runtime')),
  ).toEqual([]);
});
