import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMigratedDatabase } from '@event-runtime/runtime/testing';
import { expect, inject, onTestFinished, test } from 'vitest';
import { Program } from '../program.suite.ts';

const configuration = `
export default {
  sinks: [
    { type: 'webhooks' },
    { type: 'nats', name: 'nats', servers: ['nats://127.0.0.1:1'], stream: { name: 'EVENTS' } },
    { type: 'file', name: 'audit', path: 'audit.ndjson' },
  ],
  routes: [
    { to: ['nats'], type: 'order.*', header: { region: 'eu-*' }, subject: 'orders.<tenant>.<key>',
      transform: (event) => JSON.stringify({ only: event.json().total }) },
    { to: ['nats', 'webhooks'], filter: (event) => event.json().total > 100 },
    { to: ['audit'] },
  ],
};
`;

/** Gives what it was asked with as the payload. */
const asking = `
export default {
  sinks: [{ type: 'file', name: 'audit', path: 'audit.ndjson' }],
  routes: [
    { to: ['audit'], filter: (event) => {
      const { payload, json, ...rest } = event;
      if (event.replay === null) throw new Error(JSON.stringify({ ...rest, payload: json() }));
      return event.replay === '01a1fc00-0000-7abc-8123-456789abcdef' && event.version === 1;
    } },
  ],
};
`;

async function told(
  words: readonly string[],
  { env = {}, config = configuration }: { env?: Readonly<Record<string, string>>; config?: string } = {},
): Promise<Program> {
  const cwd = await mkdtemp(join(tmpdir(), 'routes-'));
  onTestFinished(async () => await rm(cwd, { recursive: true }));
  await writeFile(join(cwd, 'event-runtime.config.js'), config);
  const program = new Program(['routes', 'test', ...words], { env, cwd });
  await program.exit();
  return program;
}

test('an event that is described, without a database', async () => {
  const words = ['--type', 'order.placed', '--tenant', 'a.b', '--key', 'o-1', '--header', 'region=eu-west'];
  const program = await told([...words, '--payload', '{"total": 1.0}', '--json']);
  expect(await program.exit()).toBe(0);
  expect(JSON.parse(program.out)).toEqual({
    event: null,
    type: 'order.placed',
    destinations: [
      { sink: 'webhooks', goes: false, route: null, subject: null, changed: false, error: null },
      { sink: 'nats', goes: true, route: 0, subject: 'orders.a%2Eb.o-1', changed: true, error: null },
      { sink: 'audit', goes: true, route: 2, subject: null, changed: false, error: null },
    ],
  });
});

test('for a person; a function that throws is shown as what it does', async () => {
  const program = await told(['--type', 'payment', '--payload', 'null']);
  expect(program.out.split('\n').map((line) => line.replaceAll(/ +/g, ' '))).toEqual([
    'sink goes there by subject',
    "webhooks fails routes[1] TypeError: Cannot read properties of null (reading 'total')",
    "nats fails routes[1] TypeError: Cannot read properties of null (reading 'total')",
    'audit yes routes[2]',
    '',
  ]);
  expect(await program.exit()).toBe(1);
});

/** What a filter was given, by name. */
const seen = {
  id: '01a1fbfe-d2c6-722a-be7c-d716c0c2014e',
  type: 'order.placed',
  version: 7,
  tenant: 'acme',
  ecosystem: 'ofb',
  entityKey: 'o-1',
  correlationId: 'req-7',
  causationId: 'c-1',
  source: 'shop',
  headers: { region: 'eu' },
  time: '2026-11-20T12:10:00.123456Z',
  replay: null,
  payload: { total: 1 },
};

test('whatever a function of a route may read can be given', async () => {
  const program = await told(
    [
      ...['--id', seen.id, '--type', seen.type, '--event-version', '7', '--tenant', seen.tenant],
      ...['--ecosystem', seen.ecosystem, '--key', seen.entityKey, '--correlation', seen.correlationId],
      ...['--causation', seen.causationId, '--source', seen.source, '--header', 'region=eu'],
      ...['--time', '2026-11-20T09:10:00.123456-03:00', '--payload', '{"total":1}', '--json'],
    ],
    { config: asking },
  );
  const { destinations } = JSON.parse(program.out) as { destinations: [{ error: string }] };
  expect(JSON.parse(destinations[0].error.replace(/^Error: /, ''))).toEqual(seen);
});

test.each([
  [['--replay', '01A1FC00-0000-7ABC-8123-456789ABCDEF'], true],
  [['--replay', '01a1fc00-0000-7abc-8123-456789abcd00'], false],
  [['--replay', '01a1fc00-0000-7abc-8123-456789abcdef', '--event-version', '2'], false],
] as const)('as a replay brings it: %j', async (words, goes) => {
  const program = await told(['--type', 'a', ...words, '--json'], { config: asking });
  expect(JSON.parse(program.out)).toMatchObject({ destinations: [{ sink: 'audit', goes, error: null }] });
});

test.each([
  [['--type', ''], '--type is empty.'],
  [['--type', 'a', '--source', ''], '--source is empty.'],
  [['--type', 'a', '--event-version', '0'], '--event-version is "0".'],
  [['--type', 'a', '--event-version', '2147483648'], '--event-version is "2147483648".'],
  [['--type', 'a', '--time', '2026-02-31'], '--time is "2026-02-31".'],
  [['--type', 'a', '--replay', 'x'], '--replay is "x".'],
  [['--type', 'a', '--id', 'x'], '--id is "x".'],
  [['01a1fbfe-d2c6-722a-be7c-d716c0c2014e', '--event-version', '1'], 'and --event-version.'],
  [['--type', 'a', '--tenant', ''], '--tenant is empty.'],
  [['--type', 'a', '--header', 'X-Region=eu'], '--header is "X-Region=eu".'],
  [['--type', 'a', '--header', 'region'], '--header is "region".'],
  [['01a1fbfe-d2c6-722a-be7c-d716c0c2014e', '--type', 'a', '--payload', '{}'], 'and --type, --payload.'],
])('refused: %j', async (words, sentence) => {
  const program = await told(words);
  expect(program.errors).toContain(sentence);
  expect(await program.exit()).toBe(2);
});

test('one of the outbox, by its id', async () => {
  await using database = await createMigratedDatabase(inject('postgres')['18']);
  const client = await database.connect();
  const { rows } = await client.query<{ id: string }>(
    `select event_id as id from event_runtime.emit('refund', '{"total": 101}', 'acme', 'r-1')`,
  );
  const [{ id } = { id: '' }] = rows;
  const env = { DATABASE_URL: database.url };
  const program = await told([id, '--json'], { env });
  expect(JSON.parse(program.out)).toMatchObject({
    event: id,
    type: 'refund',
    destinations: [
      { sink: 'webhooks', goes: true, route: 1 },
      { sink: 'nats', goes: true, route: 1, subject: 'events.acme.refund' },
      { sink: 'audit', goes: true, route: 2 },
    ],
  });
  const replay = '01a1fc00-0000-7abc-8123-456789abcdef';
  const replayed = await told([id, '--replay', replay, '--json'], { env, config: asking });
  expect(JSON.parse(replayed.out)).toMatchObject({ destinations: [{ sink: 'audit', goes: true }] });
  const missing = await told(['01a1fbfe-d2c6-722a-be7c-d716c0c2014e'], { env });
  expect(missing.errors).toContain('ER4017');
  const wrong = await told(['--header', 'region=eu', 'o-1'], { env });
  expect(wrong.errors).toContain('An event id was given, and --header.');
  const unknown = await told(['o-1'], { env });
  expect(unknown.errors).toContain('"o-1" is no event id');
});
