import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { enough, keys, merged, urls } from './merge-fixture.suite.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'event-runtime-config-'));
  await writeFile(join(folder, 'url'), `${urls.file}\n`);
  await writeFile(join(folder, 'keys'), `${keys.file},${keys.old}\n`);
  await writeFile(join(folder, 'empty'), '\n');
});
afterAll(async () => await rm(folder, { recursive: true }));

test('are read from files, and say where they are kept', async () => {
  const file = { databaseUrl: `file:${folder}/url`, secretKeys: ['env:NEW', `file:${folder}/keys`] };
  const { settings, problems } = await merged({ file, env: { NEW: keys.env } });
  expect(problems).toEqual([]);
  expect(settings.find(({ path }) => path === 'databaseUrl')).toMatchObject({ value: urls.file });
  expect(settings.find(({ path }) => path === 'secretKeys')).toMatchObject({
    value: [keys.env, keys.file, keys.old],
    references: ['env:NEW', `file:${folder}/keys`],
  });
});

test('an environment variable may have a reference too', async () => {
  const env = {
    ...enough,
    DATABASE_URL: `file:${folder}/url`,
    EVENT_RUNTIME_SECRET_KEY: `${keys.env},env:OLD`,
    OLD: keys.old,
  };
  const { settings } = await merged({ env });
  expect(settings.find(({ path }) => path === 'databaseUrl')).toMatchObject({
    value: urls.file,
    references: [`file:${folder}/url`],
  });
  expect(settings.find(({ path }) => path === 'secretKeys')).toMatchObject({
    value: [keys.env, keys.old],
    references: ['env:EVENT_RUNTIME_SECRET_KEY', 'env:OLD'],
  });
});

test('an empty file is no secret', async () => {
  const { problems } = await merged({ env: { ...enough, DATABASE_URL: `file:${folder}/empty` } });
  expect(problems.map(({ text }) => text)).toEqual([
    `databaseUrl cannot be had, from DATABASE_URL: ${folder}/empty is empty.`,
  ]);
});

test('that no role uses are not looked up', async () => {
  const file = { secretKeys: ['file:/nowhere/key'] };
  const { settings, problems } = await merged({
    flags: { roles: 'relay' },
    env: { DATABASE_URL: urls.env },
    file,
  });
  expect(problems).toEqual([]);
  expect(settings.find(({ path }) => path === 'secretKeys')).toMatchObject({
    state: 'unneeded',
    value: undefined,
  });
});
