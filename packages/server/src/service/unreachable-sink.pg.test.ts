import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMigratedDatabase, freePort } from '@event-runtime/runtime/testing';
import { describe, expect, inject, test } from 'vitest';
import { eventually } from '../eventually.suite.ts';
import type { Readiness } from '../health/readiness.ts';
import type { Check } from '../operations/check.ts';
import { Program } from '../program.suite.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  test('a file sink without its folder: log, readyz, status and doctor name the sink, ER4011 and what to do, until it is there', async () => {
    await using database = await createMigratedDatabase(inject('postgres')[major]);
    const sql = await database.connect();
    await using stack = new AsyncDisposableStack();
    const directory = await mkdtemp(join(tmpdir(), 'event-runtime-sink-'));
    stack.defer(async () => await rm(directory, { recursive: true }));
    const folder = join(directory, 'missing');
    const port = await freePort();
    await writeFile(
      join(directory, 'event-runtime.config.json'),
      JSON.stringify({
        databaseUrl: 'env:DATABASE_URL',
        roles: ['relay'],
        sinks: [{ type: 'file', name: 'ledger', path: 'missing/events.ndjson' }],
        relay: { source: 'table', pollMs: 20 },
        http: { port },
      }),
    );
    const options = { env: { DATABASE_URL: database.url }, cwd: directory };
    /** What it says is wrong with the file of the sink. */
    const asked = async (command: 'doctor' | 'status'): Promise<Check[]> => {
      await using program = new Program([command, '--json'], options);
      await program.exit();
      const told = JSON.parse(program.out) as { checks?: Check[]; attention?: Check[] };
      const checks = told.checks ?? told.attention ?? [];
      return checks.filter(({ code, state }) => code === 'ER4011' && state !== 'ok');
    };
    const missing = {
      name: 'sink ledger',
      seen: expect.stringContaining(`${folder}/events.ndjson`),
      fix: expect.stringContaining(`mkdir -p '${folder}'`),
      page: 'docs/reference/errors.md#er4011',
    };
    // Before the relay has run for the first time, too.
    expect(await asked('doctor')).toMatchObject([missing]);

    await using service = new Program(['start'], options);
    await service.logs('service.started');
    const readyz = async (): Promise<Readiness> =>
      (await (await fetch(`http://127.0.0.1:${port}/readyz`)).json()) as Readiness;
    const before = await eventually(readyz, (now) => now.ready);
    expect(before).toMatchObject({ attention: [] });
    await sql.query("select event_runtime.emit('a', '{}', tenant_id => 'acme')");
    expect(await service.logs('relay.sink.retry')).toMatchObject({
      level: 'warn',
      sink: 'ledger',
      error: {
        code: 'ER4011',
        message: expect.stringMatching(`${folder}/events.ndjson.*mkdir -p '${folder}'`),
      },
    });
    const { ready, attention } = await eventually(readyz, (now) => now.ready && now.attention.length > 0);
    expect([ready, attention]).toEqual([
      true,
      [
        {
          code: 'ER4011',
          what: expect.stringMatching(`^Sink ledger: .*${folder}/events.ndjson`),
          remedy: expect.stringContaining(`mkdir -p '${folder}'`),
        },
      ],
    ]);
    expect(await asked('status')).toMatchObject([missing]);
    expect(await asked('doctor')).toMatchObject([missing]);

    await mkdir(folder);
    // The pause between two attempts has grown meanwhile.
    while ((await readyz()).attention.length > 0) await sql.query('select pg_sleep(0.05)');
    expect(await asked('doctor')).toEqual([]);
    expect(await asked('status')).toEqual([]);
    service.kill('SIGTERM');
    expect(await service.exit()).toBe(0);
  });
});
