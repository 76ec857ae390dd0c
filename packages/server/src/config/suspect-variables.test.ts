import { expect, test } from 'vitest';
import { settingRows } from './settings-table.ts';
import { suspectVariables } from './suspect-variables.ts';

test.each([
  ['EVENT_RUNTIME_RELAY_SHARD', 'EVENT_RUNTIME_RELAY_SHARDS'],
  ['EVENT_RUNTIME_DATABASE_URL', 'DATABASE_URL'],
  ['EVENT_RUNTIME_SECRET_KEYS', 'EVENT_RUNTIME_SECRET_KEY'],
])('%s is nearly %s', (name, meant) => {
  expect(suspectVariables({ [name]: 'hunter2' })).toEqual([
    `The variable ${name} is not known; did you mean ${meant}?`,
  ]);
});

test('one named after a setting that only a file can give', () => {
  expect(suspectVariables({ EVENT_RUNTIME_RETENTION_ARCHIVE: './archive.ts' })).toEqual([
    'The variable EVENT_RUNTIME_RETENTION_ARCHIVE has no effect: only a configuration file can give retention.archive.',
  ]);
});

test('the real names, and those that others set, are no matter', () => {
  const real = settingRows.flatMap(([, { env }]) => env ?? []);
  // The last four: what a container platform sets for a service of the name event-runtime.
  const others = [
    'EVENT_RUNTIME_STOP_WITH_STDIN',
    'EVENT_RUNTIME_SERVICE_HOST',
    'EVENT_RUNTIME_SERVICE_PORT',
    'EVENT_RUNTIME_PORT',
    'EVENT_RUNTIME_PORT_8790_TCP_ADDR',
  ];
  expect(suspectVariables(Object.fromEntries([...real, ...others].map((name) => [name, 'x'])))).toEqual([]);
});
