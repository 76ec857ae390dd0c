import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { programEnvironment } from '../program-environment.suite.ts';

const program = fileURLToPath(new URL('../../bin/event-runtime.js', import.meta.url));
const packageFolder = fileURLToPath(new URL('../..', import.meta.url));
const key = randomBytes(32).toString('base64');

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'event-runtime-config-'));
  await mkdir(join(directory, 'node_modules'));
  await symlink(packageFolder, join(directory, 'node_modules/event-runtime'));
  await writeFile(join(directory, 'package.json'), '{"type": "module"}');
  await writeFile(
    join(directory, 'event-runtime.config.ts'),
    `import { type ConfigurationFile, defineConfig } from 'event-runtime';
     const roles: ConfigurationFile['roles'] = ['relay'];
     export default defineConfig({ databaseUrl: 'env:MY_URL', roles, relay: { name: 'from_file' },
       retention: { archive: async () => undefined } });`,
  );
});
afterAll(async () => await rm(directory, { recursive: true }));

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly errors: string;
}

async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return await new Promise((resolve) => {
    const options = { cwd: directory, env: { ...programEnvironment, ...env } };
    execFile(process.execPath, [program, ...args], options, (error, out, errors) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, errors });
    });
  });
}

test('a TypeScript file with defineConfig, in the working directory, and its origin', async () => {
  const { code, out } = await run(['config', '--json'], { MY_URL: 'postgres://u:hunter2@h/db' });
  expect(code).toBe(0);
  expect(out).not.toContain('hunter2');
  const { file, settings } = JSON.parse(out) as { file: string; settings: Array<{ path: string }> };
  expect(file).toBe('event-runtime.config.ts');
  expect(settings.find(({ path }) => path === 'relay.name')).toMatchObject({
    value: 'from_file',
    origin: { kind: 'file', name: 'event-runtime.config.ts' },
  });
  expect(settings.find(({ path }) => path === 'retention.archive')).toMatchObject({ value: 'a function' });
  expect(settings[0]).toMatchObject({ references: ['env:MY_URL'] });
});

test('start takes the file: what is wrong in it is told with exit code 2', async () => {
  const wrong = await run(['start', '--relay-shards', '3']);
  expect(wrong.code).toBe(2);
  expect(wrong.out).toBe('');
  expect(wrong.errors).toContain(
    'databaseUrl cannot be had, from event-runtime.config.ts: env:MY_URL is not set.',
  );
  expect(wrong.errors).toContain(
    'relay.shards is 3, from --relay-shards; it must be 1 where relay.source is wal',
  );
  const without = await run(['start', '--no-config'], { EVENT_RUNTIME_SECRET_KEY: key });
  expect(without).toMatchObject({ code: 2, errors: expect.stringContaining('databaseUrl is missing') });
});

test('migrate takes the URL of the file', async () => {
  const { code, errors } = await run(['migrate'], { MY_URL: 'postgres://u@127.0.0.1:1/db' });
  // It got as far as the database, which is not there.
  expect([code, errors]).toEqual([1, expect.stringContaining('ER1001')]);
});

test('a Node told not to read TypeScript says so', async () => {
  const { code, errors } = await run(['config'], { NODE_OPTIONS: '--no-strip-types' });
  expect(code).toBe(2);
  expect(errors).toMatch(
    /event-runtime\.config\.ts is TypeScript, which this Node \(v[\d.]+\) does not read/,
  );
});

// Node's own loader: the test runner's would have other words.
test.each([
  ['a.mjs', 'export default { databaseUrl: hunter1 hunter2 };', 'cannot be parsed. '],
  ['a.ts', 'export default { databaseUrl: hunter1 hunter2 };', 'cannot be parsed. '],
  [
    'b.ts',
    'enum Hunter1 { hunter2 }; export default {};',
    'cannot be parsed: it has TypeScript that is more than types.',
  ],
  [
    'c.ts',
    "import 'not-there'; export default {};",
    `imports what is not there ("Cannot find package 'not-there'`,
  ],
])('a module that cannot be loaded, %s: %s', async (name, text, told) => {
  await writeFile(join(directory, name), text);
  const { code, errors } = await run(['config', '--config', name]);
  expect(code).toBe(2);
  expect(errors).toContain(`The configuration file ${name} ${told.trim()}`);
  expect(errors).not.toMatch(/hunter\d/i);
});
