import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createMigratedDatabase } from '@event-runtime/runtime/testing';
import { expect, inject, test } from 'vitest';
import { Program } from '../program.suite.ts';

const configuration = `
import { appendFileSync } from 'node:fs';
const sink = (name) => ({
  name,
  features: { order: true, dedupe: false, ownCheckpoint: false },
  async deliver({ events }) {
    for (const { event } of events) appendFileSync('got.txt', event.eventType + '\\n');
    return events.map(() => ({ type: 'delivered' }));
  },
  async [Symbol.asyncDispose]() {},
});
export default {
  databaseUrl: 'env:DATABASE_URL',
  roles: ['relay'],
  sinks: [
    { type: 'custom', name: 'throws', create: () => { throw new Error('no address'); } },
    { type: 'custom', name: 'misnamed', create: () => sink('other') },
    { type: 'custom', name: 'good', create: () => sink('good') },
  ],
  relay: { name: 'custom_sinks', unboundedWal: 'warn' },
  http: { port: 0 },
};
`;

test('a sink of the configuration that cannot be made holds up no other, and is named', async () => {
  await using database = await createMigratedDatabase(inject('postgres')['18']);
  const sql = await database.connect();
  await using stack = new AsyncDisposableStack();
  const cwd = await mkdtemp(join(tmpdir(), 'event-runtime-custom-'));
  stack.defer(async () => await rm(cwd, { recursive: true }));
  await writeFile(join(cwd, 'event-runtime.config.mjs'), configuration);
  await using service = new Program(['start'], { env: { DATABASE_URL: database.url }, cwd });
  await service.logs('service.started');
  await sql.query("select event_runtime.emit('thing', '{}', tenant_id => 'acme')");
  const got = async (): Promise<string> => await readFile(join(cwd, 'got.txt'), 'utf8').catch(() => '');
  while ((await got()) === '') await sleep(20);
  expect(await got()).toBe('thing\n');
  for (const said of [
    'Sink throws: its create threw no address.',
    'Sink misnamed: its create gave a sink named',
  ]) {
    while (!(service.errors + service.out).includes(said)) await sleep(20);
  }
  service.kill('SIGTERM');
  expect(await service.exit()).toBe(0);
});
