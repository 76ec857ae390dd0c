import type { RelayReport, SinkStatus } from '@event-runtime/runtime';
import { expect, test } from 'vitest';
import { serverError } from '../server-error.ts';
import type { DatabaseView } from './database-view.ts';
import { readiness } from './readiness.ts';

const up: DatabaseView = { state: 'up', report: {} as RelayReport };
const roles = ['relay'] as const;
const sinks: readonly SinkStatus[] = [];
const parts = [{ name: 'relay', state: 'running' }] as const;
const leases = (
  held: boolean,
): { leases: [{ sink: string; shard: number; held: boolean }]; window: null; trouble: null } => ({
  leases: [{ sink: '*', shard: 0, held }],
  window: null,
  trouble: null,
});

test('a replica that has the lease, one that stands by, one that is no relay: all are ready', () => {
  expect(readiness({ roles, sinks, parts, view: up, activity: leases(true) })).toEqual({
    ready: true,
    roles,
    holds: ['*'],
    standby: false,
    reasons: [],
    attention: [],
  });
  expect(readiness({ roles, sinks, parts, view: up, activity: leases(false) })).toMatchObject({
    ready: true,
    standby: true,
  });
  expect(readiness({ roles, sinks, parts, view: up, activity: null })).toMatchObject({
    ready: true,
    standby: false,
    holds: [],
  });
});

test.each([
  ['new', /relay is starting/],
  ['starting', /relay is starting/],
  ['stopping', /relay is stopping/],
  ['stopped', /relay is stopped/],
  ['failed', /relay has failed/],
] as const)('a part that is %s is a reason', (state, what) => {
  const answer = readiness({
    roles,
    sinks,
    parts: [{ name: 'relay', state }],
    view: up,
    activity: leases(true),
  });
  expect(answer).toMatchObject({ ready: false, standby: false });
  expect(answer.reasons).toEqual(
    [{ code: null, what: expect.stringMatching(what), remedy: expect.anything() }].map((reason) =>
      state === 'failed' ? reason : { ...reason, remedy: null },
    ),
  );
});

test('a schema that is too old, or too new', () => {
  const schema = { version: 3, known: 6, drifted: [] };
  const view = (state: 'missing' | 'behind' | 'incompatible'): DatabaseView => ({
    state: 'schema',
    schema: { ...schema, state },
  });
  const codes = (['missing', 'behind', 'incompatible'] as const).map(
    (state) => readiness({ roles, sinks, parts, view: view(state), activity: null }).reasons[0]?.code,
  );
  expect(codes).toEqual(['ER1101', 'ER1101', 'ER1102']);
  expect(readiness({ roles, sinks, parts, view: view('behind'), activity: null }).reasons[0]).toMatchObject({
    what: expect.stringContaining('version 3'),
    remedy: expect.stringContaining('event-runtime migrate'),
  });
});

test('a database that is down is named, without what the driver says of hosts and roles', () => {
  const driver = new Error('connect ECONNREFUSED 10.1.2.3:5432');
  const ours = readiness({
    roles,
    sinks,
    parts,
    view: { state: 'down', error: serverError('ER1001', { cause: driver }) },
    activity: null,
  });
  expect(ours.reasons).toEqual([
    { code: 'ER1001', what: 'The database cannot be reached.', remedy: expect.any(String) },
  ]);
  const refused = Object.assign(new Error('password authentication failed for user "secret_role"'), {
    severity: 'FATAL',
  });
  const servers = readiness({ roles, sinks, parts, view: { state: 'down', error: refused }, activity: null });
  expect(servers.ready).toBe(false);
  expect(JSON.stringify([ours, servers])).not.toMatch(/10\.1\.2\.3|secret_role/);
});

test('a slot that somebody else reads: ready, for the table serves; it says who reads it and what to do, without the cause', () => {
  const trouble = serverError('ER1201', {
    detail: 'Slot s is read by process 7 ("debezium").',
    cause: new Error('must be a member of secret_role'),
  });
  const answer = readiness({ roles, sinks, parts, view: up, activity: { ...leases(true), trouble } });
  expect(answer).toMatchObject({ ready: true, reasons: [] });
  expect(answer.attention).toEqual([
    {
      code: 'ER1201',
      what: 'The replication slot is in use by another connection. Slot s is read by process 7 ("debezium").',
      remedy: expect.stringContaining('relay.slot'),
    },
  ]);
  expect(JSON.stringify(answer)).not.toContain('secret_role');
});

test('a sink that fails: ready, and under attention by name, with its code; what is no error of ours is not repeated', () => {
  const status = { shard: 0, mode: 'live', delivered: 0 } as const;
  const failing = [
    { ...status, sink: 'well', trouble: undefined },
    { ...status, sink: 'full', trouble: serverError('ER4011', { detail: '/srv/events' }) },
    { ...status, sink: 'own', trouble: new Error('refused for secret_role') },
  ];
  const answer = readiness({ roles, parts, view: up, activity: leases(true), sinks: failing });
  expect(answer).toMatchObject({ ready: true, reasons: [] });
  expect(answer.attention).toEqual([
    {
      code: 'ER4011',
      what: expect.stringMatching(/^Sink full: .*\/srv\/events/),
      remedy: expect.stringContaining('path'),
    },
    {
      code: 'ER1316',
      what: expect.stringContaining('Sink own'),
      remedy: expect.stringContaining('relay.sink.retry'),
    },
  ]);
});

test('a sink that turns an event away again and again: which one, and since when', () => {
  const waiting = {
    eventId: '01a1f866-0d7b-7def-8123-456789abcdef',
    since: new Date('2026-11-21T10:00:00Z'),
  };
  const status = { sink: 'nats', shard: 0, mode: 'live', delivered: 7, waiting } as const;
  const seen = [serverError('ER1001', { detail: 'D.' }), new Error('of a sink of your own')].map((trouble) =>
    readiness({ roles, sinks: [{ ...status, trouble }], parts, view: up, activity: leases(true) }),
  );
  const event = 'Event 01a1f866-0d7b-7def-8123-456789abcdef waits since 2026-11-21T10:00:00.000Z.';
  expect(seen.map(({ ready, attention }) => [ready, attention[0]?.what])).toEqual([
    [true, `Sink nats: The database cannot be reached. D. ${event}`],
    [true, `Sink nats does not take its batch. ${event}`],
  ]);
});
