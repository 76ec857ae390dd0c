import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Outcome } from './outcome.ts';

const root = join(import.meta.dirname, '../..');
let folder = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'event-runtime-reporter-'));
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Runs a vitest of its own over the given files, as `npm test` does. */
async function outcomeOf(
  files: Readonly<Record<string, string>>,
  ...args: readonly string[]
): Promise<Outcome> {
  for (const [name, source] of Object.entries(files)) await writeFile(join(folder, name), source);
  await writeFile(join(folder, 'vitest.config.mjs'), `export default { test: { name: 'unit' } };`);
  const file = join(folder, 'outcome.json');
  const env = { PATH: process.env['PATH'], EVENT_RUNTIME_TEST_OUTCOME: file };
  const all = [
    join(root, 'node_modules/vitest/vitest.mjs'),
    ...['run', '--root', folder, `--reporter=${join(root, 'scripts/test/reporter.ts')}`, ...args],
  ];
  await new Promise<void>((resolve) => {
    execFile(process.execPath, all, { cwd: folder, env }, () => resolve());
  });
  return JSON.parse(await readFile(file, 'utf8')) as Outcome;
}

test('every kind of end is counted under its own name', async () => {
  const outcome = await outcomeOf({
    'a.test.mjs': `
      import { describe, expect, test } from 'vitest';
      test('passes', () => {});
      test('fails', () => { expect(1).toBe(2); });
      test('notes', (context) => context.skip('the moon is full'));
      test.skipIf(true)('asks [needs a thing]', () => {});
      describe.skipIf(true)('group [needs another]', () => { test('inside', () => {}); });
      test.skip('says nothing', () => {});
      test.todo('later');`,
  });
  expect(outcome.projects).toEqual({ unit: { passed: 1, failed: 1, skipped: 5 } });
  expect(outcome.skips.map(({ reason }) => reason)).toEqual([
    'the moon is full',
    'needs a thing',
    'needs another',
    'no reason given',
    'to do',
  ]);
  expect(outcome.errors).toBe(0);
});

test('a file that cannot be loaded, a failed hook and an unhandled rejection are errors', async () => {
  const outcome = await outcomeOf({
    'broken.test.mjs': `import './not-there.mjs';`,
    'hook.test.mjs': `
      import { beforeAll, describe, test } from 'vitest';
      describe('group', () => { beforeAll(() => { throw new Error('set-up'); }); test('never runs', () => {}); });`,
    'late.test.mjs': `
      import { test } from 'vitest';
      test('passes', async () => {
        void Promise.reject(new Error('nobody listens'));
        await new Promise((resolve) => setTimeout(resolve, 50));
      });`,
  });
  expect(outcome.errors).toBe(3);
  expect(outcome.projects['unit']?.passed).toBe(1);
});

test('what a name pattern leaves out is skipped, and says so', async () => {
  const source = `import { test } from 'vitest'; test('one', () => {}); test('two', () => {});`;
  const outcome = await outcomeOf({ 'a.test.mjs': source }, '-t', 'one');
  expect(outcome.projects).toEqual({ unit: { passed: 1, failed: 0, skipped: 1 } });
  expect(outcome.skips[0]?.reason).toBe('not selected by --testNamePattern');
});
