import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { run } from '../process/command.ts';
import { obtain } from './obtain.ts';
import type { Service, Way } from './service.ts';
import { atLeast, versionIn } from './version.ts';

let folder = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'event-runtime-services-'));
  vi.stubEnv('PATH', `${join(folder, 'path')}:${join(folder, 'node_modules/.bin')}:/usr/bin:/bin`);
  vi.stubEnv('EVENT_RUNTIME_THING', '');
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

/** A program that answers with a version, at a path below the test's folder. */
async function program(path: string, version: string): Promise<string> {
  const full = join(folder, path);
  await mkdir(join(full, '..'), { recursive: true });
  await writeFile(full, `#!/bin/sh\necho ${version}\n`);
  await chmod(full, 0o755);
  return full;
}

function thing(ways: readonly Way[]): Service {
  return {
    name: 'thing',
    program: 'thing',
    variable: 'EVENT_RUNTIME_THING',
    wanted: '>= 2.0.0',
    purpose: 'tests',
    async check(path) {
      const version = versionIn(await run(path, [], { timeoutMs: 5_000 }));
      if (version === undefined || !atLeast(version, [2, 0, 0]))
        throw new Error(`too old: ${version?.join('.')}`);
      return version.join('.');
    },
    ways,
  };
}

const broken: Way = { name: 'broken', obtain: () => Promise.reject(new Error('no network')) };
const fetching: Way = { name: 'fetching', obtain: () => program('.tools/thing/bin/thing', '2.4.0') };
const look = (ways: readonly Way[], install = true): ReturnType<typeof obtain> =>
  obtain(thing(ways), { tools: join(folder, '.tools'), install });

test('the variable goes before everything', async () => {
  vi.stubEnv('EVENT_RUNTIME_THING', await program('mine', '2.1.0'));
  await program('path/thing', '2.2.0');
  expect(await look([fetching])).toMatchObject({ way: 'EVENT_RUNTIME_THING', version: '2.1.0' });
});

test('a variable that names an unfit program is not passed over in silence', async () => {
  vi.stubEnv('EVENT_RUNTIME_THING', await program('mine', '1.9.0'));
  await program('path/thing', '2.2.0');
  expect(await look([fetching])).toMatchObject({
    path: undefined,
    refused: [{ way: 'EVENT_RUNTIME_THING', reason: 'too old: 1.9.0' }],
  });
});

test('what is too old on the PATH is refused by name, what npm put there is not looked at', async () => {
  const old = await program('path/thing', '1.9.0');
  await program('node_modules/.bin/thing', '2.2.0');
  const result = await look([broken, fetching]);
  expect(result).toMatchObject({ way: 'fetching', version: '2.4.0' });
  expect(result.refused).toContainEqual({ way: `PATH (${old})`, reason: 'too old: 1.9.0' });
  expect(result.refused).toContainEqual({ way: 'broken', reason: 'no network' });
});

test('what was fetched once is found again, also when only looking', async () => {
  expect(await look([fetching], false)).toMatchObject({ path: undefined });
  await look([fetching]);
  expect(await look([broken], false)).toMatchObject({ way: '.tools', version: '2.4.0' });
});

test('found nowhere: every way is there with its reason', async () => {
  const { path, refused } = await look([broken]);
  expect(path).toBeUndefined();
  expect(refused.map(({ way }) => way)).toEqual(['EVENT_RUNTIME_THING', '.tools', 'broken']);
});

test('a command that hangs is killed with its children at its time limit', async () => {
  const mark = join(folder, 'mark');
  const script = `(sleep 1; touch ${mark}) & sleep 600`;
  await expect(run('sh', ['-c', script], { timeoutMs: 100 })).rejects.toThrow('sh took longer than 0.1 s');
  // The child that would have written the mark is gone: its group has no process left that could.
  await expect(run('sh', ['-c', `sleep 1.2; test ! -e ${mark}`], { timeoutMs: 5_000 })).resolves.toBe('');
});

test('a command that is not there, and one that fails, say so in one line', async () => {
  await expect(run('no-such-command', [], { timeoutMs: 1_000 })).rejects.toThrow('no no-such-command here');
  const failing = run('sh', ['-c', 'echo out; echo first >&2; echo last >&2; exit 3'], { timeoutMs: 1_000 });
  await expect(failing).rejects.toThrow('last');
});

test('versions compare part by part', () => {
  expect(versionIn('nats-server: v2.14.9')).toEqual([2, 14, 9]);
  expect(versionIn('none')).toBeUndefined();
  expect(atLeast([2, 9, 10], [2, 12, 0])).toBe(false);
  expect(atLeast([2, 12, 0], [2, 12, 0])).toBe(true);
  expect(atLeast([3, 0, 0], [2, 12, 0])).toBe(true);
});
