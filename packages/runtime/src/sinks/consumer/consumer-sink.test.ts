import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import { toLsn } from '../../replication/lsn.ts';
import { ConsumerSink } from './consumer-sink.ts';

function logged(id: string, entityKey: string | null, tenantId = 'acme'): LoggedEvent {
  return {
    event: {
      eventId: id,
      seq: 1n,
      tenantId,
      ecosystem: null,
      eventType: 'thing.done',
      eventVersion: 1,
      entityKey,
      idempotencyKey: null,
      correlationId: null,
      causationId: null,
      sourceService: null,
      traceparent: null,
      headers: null,
      payload: Buffer.from('{}'),
      recordedAt: '2026-11-20 10:00:00+00',
    },
    position: { lsn: toLsn(1n), ordinal: 0 },
    committedAt: 0,
    capturedAt: 0,
  };
}

const signal = new AbortController().signal;
const position = { lsn: toLsn(1n), ordinal: 0 };

test('one at a time, in order', async () => {
  const log: string[] = [];
  const sink = new ConsumerSink({
    name: 'x',
    handle: async ({ event }) => {
      log.push(`+${event.eventId}`);
      await nextTurn();
      log.push(`-${event.eventId}`);
    },
  });
  const events = [logged('1', 'a'), logged('2', 'b'), logged('3', null)];
  expect(await sink.deliver({ events, position }, { signal })).toEqual([
    { type: 'delivered' },
    { type: 'delivered' },
    { type: 'delivered' },
  ]);
  expect(log).toEqual(['+1', '-1', '+2', '-2', '+3', '-3']);
});

test('a failure holds back its entity, and nobody else: no other tenant, no event without an entity', async () => {
  const handled: string[] = [];
  const sink = new ConsumerSink({
    name: 'x',
    retryAfterMs: 70,
    handle: ({ event }) => {
      handled.push(event.eventId);
      if (event.eventId.startsWith('bad')) throw new Error(`no ${event.eventId}`);
    },
  });
  const events = [
    logged('bad 1', 'a'),
    logged('2', 'a'),
    logged('3', 'a', 'other'),
    logged('bad 4', null),
    logged('5', null),
    logged('6', 'b'),
  ];
  const results = await sink.deliver({ events, position }, { signal });
  expect(handled).toEqual(['bad 1', '3', 'bad 4', '5', '6']);
  expect(results.map((result) => result.type)).toEqual([
    'retry',
    'retry',
    'delivered',
    'retry',
    'delivered',
    'delivered',
  ]);
  expect(results[1]).toMatchObject({ afterMs: 70, error: { message: 'no bad 1' } });
});

test('what is thrown and is no error becomes one', async () => {
  const sink = new ConsumerSink({
    name: 'x',
    handle: () => {
      throw 'a text'; // oxlint-disable-line typescript/only-throw-error -- what a careless handler does
    },
  });
  const [result] = await sink.deliver({ events: [logged('1', 'a')], position }, { signal });
  expect(result).toMatchObject({ type: 'retry', afterMs: 1_000, error: { message: 'a text' } });
});

test('aborted: the handler is told, and what comes after it is not begun', async () => {
  const controller = new AbortController();
  const handled: string[] = [];
  const sink = new ConsumerSink({
    name: 'x',
    handle: async ({ event }, options) => {
      handled.push(event.eventId);
      controller.abort(new Error('enough'));
      options.signal.throwIfAborted();
    },
  });
  const events = [logged('1', 'a'), logged('2', 'b')];
  const results = await sink.deliver({ events, position }, { signal: controller.signal });
  expect(handled).toEqual(['1']);
  expect(results.map((result) => result.type)).toEqual(['retry', 'retry']);
});
