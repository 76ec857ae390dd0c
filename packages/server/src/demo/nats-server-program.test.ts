import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findNatsServer } from './nats-server-program.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'event-runtime-program-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A program of this name that says what it is. @returns its path */
async function program(place: string, says: string): Promise<string> {
  const path = join(folder, place, 'nats-server');
  await mkdir(join(folder, place), { recursive: true });
  await writeFile(path, `#!/bin/sh\necho '${says}'\n`);
  await chmod(path, 0o755);
  return path;
}

const found = (env: Record<string, string>): Promise<string> =>
  findNatsServer(env, { tools: join(folder, 'tools', 'nats-server') });

test('the one that is named goes before the PATH, and that before what was obtained', async () => {
  const tools = await program('tools', 'nats-server: v2.14.9');
  expect(await found({})).toBe(tools);
  await program('node_modules/.bin', 'nats-server: v2.14.9');
  const old = await program('old', 'nats-server: v2.11.30');
  const path = ['node_modules/.bin', 'nothing', 'old'].map((place) => join(folder, place)).join(delimiter);
  expect(await found({ PATH: path })).toBe(tools);
  const machine = await program('machine', 'nats-server: v2.12.0');
  const PATH = `${path}${delimiter}${join(folder, 'machine')}`;
  expect(await found({ PATH })).toBe(machine);
  expect(await found({ PATH, EVENT_RUNTIME_NATS_SERVER: tools })).toBe(tools);
  // Who names one means that very program.
  await expect(found({ PATH, EVENT_RUNTIME_NATS_SERVER: old })).rejects.toMatchObject({
    code: 'ER5011',
    message: expect.stringContaining(`${old}: it is 2.11, and 2.12 is needed`) as string,
  });
});

test('without one it is said where was looked, what is wrong with what is there, and how to get one', async () => {
  const missing = await found({}).catch((error: unknown) => error);
  expect(missing).toMatchObject({
    code: 'ER5011',
    message: expect.stringContaining(join(folder, 'tools')) as string,
    remedy: expect.stringContaining('npm run services') as string,
  });
  const other = await program('other', 'usage: what?');
  const gone = join(folder, 'gone');
  for (const [path, why] of [
    [other, 'it does not tell its version'],
    [gone, 'it cannot be run'],
  ] as const) {
    await expect(found({ EVENT_RUNTIME_NATS_SERVER: path })).rejects.toThrow(`${path}: ${why}`);
  }
});
