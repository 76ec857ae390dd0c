import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMigratedDatabase } from '@event-runtime/runtime/testing';
import { expect, inject, test } from 'vitest';
import { Program } from '../program.suite.ts';

const configuration = `
export default {
  databaseUrl: 'env:DATABASE_URL',
  sinks: [
    { type: 'webhooks' },
    { type: 'nats', name: 'nats', servers: ['nats://127.0.0.1:1'], stream: { name: 'EVENTS' },
      access: { token: 'env:ELSEWHERE' } },
    { type: 'custom', name: 'mine', create: () => { throw new Error('not here'); } },
    { type: 'null', name: 'none' },
  ],
  routes: [
    { to: ['nats'], type: 'order.*', transform: () => 'less', subject: 'orders.<tenant>' },
    { to: ['nats', 'webhooks', 'mine', 'none'], filter: () => true },
  ],
};
`;

test('sinks of every type and routes are no trouble for the commands that only look', async () => {
  await using database = await createMigratedDatabase(inject('postgres')['18']);
  await using stack = new AsyncDisposableStack();
  const cwd = await mkdtemp(join(tmpdir(), 'event-runtime-every-'));
  stack.defer(async () => await rm(cwd, { recursive: true }));
  await writeFile(join(cwd, 'event-runtime.config.mjs'), configuration);
  const env = { DATABASE_URL: database.url };
  for (const words of [['status'], ['doctor'], ['sinks', 'list']]) {
    await using program = new Program([...words, '--json'], { env, cwd });
    await program.exit();
    expect([words, program.errors]).toEqual([words, '']);
    expect(JSON.parse(program.out)).toBeTypeOf('object');
  }
});
