import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SinkReport } from '@event-runtime/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ConfiguredFile } from '../config/configured-sink.ts';
import { sinkFileChecks } from './sink-file-checks.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'event-runtime-sink-'));
  await writeFile(join(directory, 'file'), '');
});
afterAll(async () => await rm(directory, { recursive: true }));

const fileAt = (path: string): ConfiguredFile => ({
  type: 'file',
  name: 'ledger',
  path: join(directory, path),
});

const reported = (unreadEvents: number | null): SinkReport => ({
  sink: 'ledger',
  shard: 0,
  mode: 'table',
  paused: false,
  gappedEvents: 0,
  positionLagBytes: null,
  unreadEvents,
  oldestUnreadSeconds: null,
  updatedAt: '2026-11-21T00:00:00.000Z',
});

test.each([
  ['is there', 'events.ndjson', 'ok'],
  ['is not there', 'missing/events.ndjson', 'warn'],
  ['is a file', 'file/events.ndjson', 'warn'],
])('a folder that %s', async (_what, path, state) => {
  for (const report of [[], [reported(3)], [reported(null)], [{ ...reported(0), sink: 'other' }]]) {
    expect(await sinkFileChecks([fileAt(path)], report)).toMatchObject([{ state, code: 'ER4011' }]);
  }
});

test('nothing is said of a sink that has everything: the relay may run on another machine', async () => {
  expect(await sinkFileChecks([fileAt('missing/events.ndjson')], [reported(0)])).toEqual([]);
});
