import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, inject, test } from 'vitest';
import { createProducerDatabase } from '../test/producer-database.ts';

const run = promisify(execFile);
const packageRoot = fileURLToPath(new URL('..', import.meta.url));
const node20 = findNode20();

/** The oldest supported Node: named by the environment, or any `node` of version 20 on the PATH. */
function findNode20(): string | undefined {
  const onPath = (process.env['PATH'] ?? '').split(delimiter).map((directory) => join(directory, 'node'));
  const candidates = [process.env['EVENT_RUNTIME_NODE20'] ?? '', ...onPath, '/usr/bin/node'];
  return candidates.find((file) => existsSync(file) && versionOf(file).startsWith('v20.'));
}

function versionOf(node: string): string {
  try {
    return execFileSync(node, ['--version'], { encoding: 'utf8' });
  } catch {
    return '';
  }
}

/** Builds the package as it is published, apart from `dist`, which others may be building. */
async function build(): Promise<string> {
  const out = join(packageRoot, '.generated/node20');
  await mkdir(out, { recursive: true });
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
  const project = join(packageRoot, 'tsconfig.json');
  await run(process.execPath, [
    tsc,
    '-p',
    project,
    '--outDir',
    out,
    '--tsBuildInfoFile',
    `${out}/.tsbuildinfo`,
  ]);
  return out;
}

const program = `
'use strict';
const { createOutbox, defineCatalog, defineEvent, isEventRuntimeError, verifyWebhook } = require('./index.js');
const pg = require('pg');

const schema = { '~standard': { version: 1, vendor: 'none', validate: (value) => ({ value }) } };
const placed = defineEvent('order.placed', { schema, key: (order) => order.id });
const outbox = createOutbox({ catalog: defineCatalog({ source: 'old', events: [placed] }) });

async function main() {
  const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
  await client.connect();
  const refused = await outbox.emit(client, placed, { id: 'o1' }).catch((error) => error);
  await client.query('begin');
  const one = await outbox.emit(client, placed, { id: 'o1' }, { tenant: 't', lock: 'entity' });
  const many = await outbox.emitMany(client, [{ event: placed, data: { id: 'o2' } }], { tenant: 't' });
  await client.query('commit');
  await client.end();
  const webhook = verifyWebhook({
    secrets: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
    headers: {
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    },
    body: '{"test": 2432232314}',
    now: new Date(1614265330000),
  });
  console.log(JSON.stringify({
    version: process.version,
    refused: isEventRuntimeError(refused) && refused.code,
    ids: [one.eventId, many[0].eventId],
    webhook: webhook.id,
  }));
}
main().catch((error) => {
  console.error(error);
  process.exit(1);
});
`;

test.skipIf(node20 === undefined)(
  `from CommonJS on Node 20 (skipped when there is none: put one on the PATH or set EVENT_RUNTIME_NODE20)`,
  async () => {
    await using database = await createProducerDatabase(inject('postgres')['15']);
    const directory = await build();
    await writeFile(join(directory, 'program.cjs'), program);
    const { stdout } = await run(node20 ?? '', [join(directory, 'program.cjs')], {
      env: { ...process.env, DATABASE_URL: database.producerUrl },
    });
    const said = JSON.parse(stdout) as { version: string; ids: string[] };
    expect(said).toMatchObject({ refused: 'ER2003', webhook: 'msg_p5jXN8AQM9LWM0D4loKWxJek' });
    expect(said.version).toMatch(/^v20\./);
    const { rows } = await database.observer.query(
      'select event_id, payload::text as payload from event_runtime.outbox order by seq',
    );
    expect(rows).toEqual([
      { event_id: said.ids[0], payload: '{"id":"o1"}' },
      { event_id: said.ids[1], payload: '{"id":"o2"}' },
    ]);
  },
);
