import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { readSettings } from './settings.ts';

const key = randomBytes(32).toString('base64');
const other = randomBytes(32).toString('base64');
const enough = { DATABASE_URL: 'postgres://user:hunter2@host/db', EVENT_RUNTIME_SECRET_KEY: key };

test('what is needed is enough; the rest has defaults', () => {
  expect(readSettings(enough)).toEqual({
    databaseUrl: enough.DATABASE_URL,
    slot: 'event_runtime',
    secretKeys: [key],
    egressAllow: [],
    retryDelaysMs: undefined,
    logLevel: 'info',
  });
});

test('everything that can be set', () => {
  expect(
    readSettings({
      DATABASE_URL: 'postgresql:///db?host=/run',
      EVENT_RUNTIME_SLOT: 'other_1',
      EVENT_RUNTIME_SECRET_KEY: `${key}, ${other}`,
      EVENT_RUNTIME_EGRESS_ALLOW: ' 10.0.0.0/8,::1 ,',
      EVENT_RUNTIME_WEBHOOK_RETRIES: '0s,250ms,5m,720h',
      EVENT_RUNTIME_LOG_LEVEL: 'silent',
    }),
  ).toEqual({
    databaseUrl: 'postgresql:///db?host=/run',
    slot: 'other_1',
    secretKeys: [key, other],
    egressAllow: ['10.0.0.0/8', '::1'],
    retryDelaysMs: [0, 250, 300_000, 2_592_000_000],
    logLevel: 'silent',
  });
});

test.each([
  ['DATABASE_URL', undefined],
  ['DATABASE_URL', ''],
  ['DATABASE_URL', 'mysql://user:hunter2@host/db'],
  ['DATABASE_URL', 'postgres://user:hun/ter2@host:5432/db'],
  ['DATABASE_URL', 'host=localhost dbname=db'],
  ['EVENT_RUNTIME_SECRET_KEY', undefined],
  ['EVENT_RUNTIME_SECRET_KEY', ' , '],
  ['EVENT_RUNTIME_SECRET_KEY', 'c2hvcnQ='],
  ['EVENT_RUNTIME_SECRET_KEY', `${key},hunter3`],
  ['EVENT_RUNTIME_SLOT', ''],
  ['EVENT_RUNTIME_SLOT', 'Upper'],
  ['EVENT_RUNTIME_SLOT', 'x'.repeat(64)],
  ['EVENT_RUNTIME_SLOT', 'semi;colon'],
  ['EVENT_RUNTIME_EGRESS_ALLOW', '10.0.0.0/8,everything'],
  ['EVENT_RUNTIME_EGRESS_ALLOW', '10.0.0.0/33'],
  ['EVENT_RUNTIME_WEBHOOK_RETRIES', '5'],
  ['EVENT_RUNTIME_WEBHOOK_RETRIES', '5s,-1s'],
  ['EVENT_RUNTIME_WEBHOOK_RETRIES', '1.5s'],
  ['EVENT_RUNTIME_WEBHOOK_RETRIES', '721h'],
  ['EVENT_RUNTIME_LOG_LEVEL', 'INFO'],
  ['EVENT_RUNTIME_LOG_LEVEL', 'trace'],
])('%s = %j is refused by its name, and no secret is told', (name, value) => {
  let thrown: unknown;
  try {
    readSettings({ ...enough, [name]: value });
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toMatchObject({ code: 'ER5001', message: expect.stringContaining(name) });
  const { message } = thrown as Error;
  for (const secret of ['hunter2', 'ter2', key, 'c2hvcnQ=', 'hunter3']) expect(message).not.toContain(secret);
});
