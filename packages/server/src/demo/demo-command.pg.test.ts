import { EmbeddedPostgres } from '@event-runtime/runtime/testing';
import pg from 'pg';
import { createColors } from 'picocolors';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CommandContext } from '../cli/command-context.ts';
import { demoCommand } from './demo-command.ts';
import { demoDatabase } from './demo-database.ts';
import { type Fault, standInSetup } from './stand-in-relay.suite.ts';

// A server of this file's own: what the demo leaves behind in a whole server is looked at here.
let server: EmbeddedPostgres;
beforeAll(async () => {
  server = await EmbeddedPostgres.start({ settings: { fsync: 'off' } });
});
afterAll(() => server.stop());

async function left(): Promise<{ databases: number; slots: number; roles: number }> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    const { rows } = await client.query(`
      select (select count(*)::int from pg_database where not datistemplate) as databases,
             (select count(*)::int from pg_replication_slots) as slots,
             (select count(*)::int from pg_roles where rolname like 'event%') as roles`);
    return rows[0];
  } finally {
    await client.end();
  }
}

async function demo(
  json: boolean,
  options: { fault?: Fault; signal?: AbortSignal; quiet?: boolean } = {},
): Promise<{ code: number; out: string[]; notes: string[]; redrawn: string[] }> {
  const [out, notes, redrawn] = [[] as string[], [] as string[], [] as string[]];
  const context: CommandContext = {
    terminal: {
      out: (line) => void out.push(line),
      note: (line) => void notes.push(line),
      redraw: (text) => void redrawn.push(...(text === '' ? [] : [text])),
      interactive: true,
      columns: 80,
      colors: createColors(false),
    },
    env: { DATABASE_URL: server.url },
    signal: options.signal ?? new AbortController().signal,
    json,
    quiet: options.quiet === true,
  };
  const setup = standInSetup({
    slot: 'demo_command',
    ...(options.fault === undefined ? {} : { fault: options.fault }),
  });
  const code = await demoCommand(
    context,
    { sink: 'webhooks', events: 40, kill: false, seed: 1, rate: 0 },
    setup,
  );
  return { code, out, notes, redrawn };
}

const nothing = { databases: 1, slots: 0, roles: 0 };

test('with --json one object is all of standard output, and nothing stays on the server', async () => {
  expect(await left()).toEqual(nothing);
  const { code, out, notes } = await demo(true);
  expect(code).toBe(0);
  expect(out).toHaveLength(1);
  expect(JSON.parse(out[0] ?? '')).toMatchObject({ events: 40, delivered: 40, lost: 0, kills: 0 });
  expect(notes.join('\n')).toContain('exactly what was committed');
  expect(await left()).toEqual(nothing);
});

test('without it people read a summary; a difference is named and the exit code is 1', async () => {
  const good = await demo(false);
  expect(good.code).toBe(0);
  expect(good.out.join('\n')).toMatch(/delivered +40 /);
  expect(good.redrawn.at(-1)).toContain('40/40 committed');
  const quiet = await demo(false, { quiet: true });
  expect(quiet).toMatchObject({ code: 0, redrawn: [], notes: [] });
  expect(quiet.out.join('\n')).toMatch(/delivered +40 /);
  const bad = await demo(false, {
    fault: (pending) => pending.map((request) => ({ ...request, body: `${request.body}\n` })),
  });
  expect(bad.code).toBe(1);
  expect(bad.out.join('\n')).toMatch(/corrupted +40 /);
  expect(bad.out.filter((line) => line.includes('sha256 of the body'))).toHaveLength(10);
  expect(await left()).toEqual(nothing);
});

test('stopped in the middle, it ends at once and leaves nothing', async () => {
  const stop = new AbortController();
  const fault: Fault = (pending) => {
    if (pending.length > 0) stop.abort();
    return [];
  };
  await expect(demo(false, { fault, signal: stop.signal })).rejects.toMatchObject({ name: 'AbortError' });
  expect(stop.signal.aborted).toBe(true);
  expect(await left()).toEqual(nothing);
});

test('a server that cannot be used is told by code', async () => {
  await expect(demoDatabase('postgres://postgres@127.0.0.1:1/postgres')).rejects.toMatchObject({
    code: 'ER1001',
  });
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  await client.query(`create role modest login password 'x'`);
  await client.end();
  const modest = new URL(server.url);
  modest.username = 'modest';
  modest.password = 'x';
  await expect(demoDatabase(modest.href)).rejects.toMatchObject({ code: 'ER5001' });
});
