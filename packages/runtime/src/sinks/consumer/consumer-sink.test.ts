import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import { batchOf, outboxEvent } from '../file/sink-batch.suite.ts';
import { ConsumerSink } from './consumer-sink.ts';

function logged(id: string, entityKey: string | null, tenantId = 'acme'): LoggedEvent {
  const [event] = batchOf(outboxEvent({ eventId: id, entityKey, tenantId })).events;
  return event!;
}

const signal = new AbortController().signal;

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
  expect(await sink.deliver({ ...batchOf(), events }, { signal })).toEqual([
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
  const results = await sink.deliver({ ...batchOf(), events }, { signal });
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
  const [result] = await sink.deliver({ ...batchOf(), events: [logged('1', 'a')] }, { signal });
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
  const results = await sink.deliver({ ...batchOf(), events }, { signal: controller.signal });
  expect(handled).toEqual(['1']);
  expect(results.map((result) => result.type)).toEqual(['retry', 'retry']);
});
