import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../../../../..');
// Below the package, so that its name leads to its build.
const directory = join(root, 'packages/runtime/.generated/sinks-guide');

test("the guide's sink passes the suite as the guide runs it", async () => {
  const page = await readFile(join(root, 'docs/guides/sinks.md'), 'utf8');
  await rm(directory, { recursive: true, force: true });
  const files = [...page.matchAll(/^```ts\n\/\/ (src\/\S+)\n([\s\S]*?)^```$/gm)];
  expect(files.map(([, path]) => path)).toEqual(['src/collector-sink.ts', 'src/collector-sink.test.ts']);
  for (const [, path = '', text = ''] of files) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), text);
  }
  const run = promisify(execFile);
  const { stdout, stderr } = await run(
    process.execPath,
    ['--test', '--test-reporter=tap', 'src/*.test.ts'],
    { cwd: directory, env: { ...process.env, NODE_TEST_CONTEXT: undefined, NODE_OPTIONS: '' } },
    // What failed is in what it printed.
  ).catch((error: unknown) => error as { readonly stdout: string; readonly stderr: string });
  const failed = stdout.split(/^(?=not ok )/m).slice(1);
  expect(failed, stderr).toEqual([]);
  expect(stdout, stderr).toMatch(/^# tests 22$/m);
  expect(stdout, stderr).toMatch(/^# pass 22$/m);
});
