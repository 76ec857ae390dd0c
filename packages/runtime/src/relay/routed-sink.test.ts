import { describe, expect, test } from 'vitest';
import { ConsumerSink } from '../sinks/consumer/consumer-sink.ts';
import { MemorySink } from '../sinks/memory/memory-sink.ts';
import type { Sink, SinkBatch } from '../sinks/sink.ts';
import { batchOf, ConformanceEvents } from '../testing/sink-conformance/conformance-events.ts';
import { sinkConformance } from '../testing/sink-conformance/sink-conformance.ts';
import type { SinkSite } from '../testing/sink-conformance/sink-site.ts';
import { type Route, RoutesTo } from './route.ts';
import { RoutedSink } from './routed-sink.ts';

const { signal } = new AbortController();

function routed(sink: Sink, routes: readonly Route[]): RoutedSink {
  return new RoutedSink(sink, new RoutesTo(sink.name, routes));
}

describe('it is a sink', () => {
  const features = { order: true, dedupe: false, ownCheckpoint: false };
  const create = async (): Promise<SinkSite> => {
    const opened: MemorySink[] = [];
    return {
      async open() {
        const sink = new MemorySink({ name: 'memory' });
        opened.push(sink);
        return routed(sink, [{ to: ['memory'], type: '*', filter: () => true }]);
      },
      received: async () =>
        opened
          .flatMap(({ events }) => events)
          .map(({ event }) => ({ attributes: { id: event.eventId }, data: event.payload })),
      async [Symbol.asyncDispose]() {
        // Nothing is held.
      },
    };
  };
  const without = ['envelope', 'outage', 'lease'] as const;
  test.each(sinkConformance({ create, features, without }))('$name', async ({ run }) => {
    await expect(run()).resolves.toBeUndefined();
  });
});

test('each event goes where its route says, as what it makes of it; one result for each', async () => {
  const make = new ConformanceEvents();
  const handed: SinkBatch[] = [];
  const memory = new MemorySink({ name: 'memory' });
  const spy: Sink = Object.assign(Object.create(memory) as Sink, {
    deliver: async (...[batch, options]: Parameters<Sink['deliver']>) => {
      handed.push(batch);
      return await memory.deliver(batch, options);
    },
  });
  const sink = routed(spy, [
    { to: ['memory'], type: 'order.*', transform: () => 'changed', subject: 'orders' },
    {
      to: ['memory'],
      type: 'bad.*',
      transform: () => {
        throw new RangeError('secret');
      },
    },
    { to: ['memory'], type: 'plain.*' },
  ]);
  const events = ['order.a', 'other', 'bad.a', 'plain.a'].map((eventType) => make.make({ eventType }));
  const results = await sink.deliver(batchOf(events), { signal });
  expect(results.map(({ type }) => type)).toEqual(['delivered', 'delivered', 'rejected', 'delivered']);
  expect(results[2]).toMatchObject({ reason: 'routes[1] threw RangeError', error: { message: 'secret' } });
  expect(
    handed[0]?.events.map(({ event, subject }) => [event.eventType, subject, event.payload.toString()]),
  ).toEqual([
    ['order.a', 'orders', 'changed'],
    ['plain.a', undefined, '{"n":4}'],
  ]);
});

test('a batch of which nothing goes there still comes to a sink: its checkpoint is for it', async () => {
  const batches: SinkBatch[] = [];
  const counting: Sink = Object.assign(new MemorySink({ name: 'memory' }), {
    deliver: async (batch: SinkBatch) => {
      batches.push(batch);
      return [];
    },
  });
  const batch = batchOf([new ConformanceEvents().make()]);
  await routed(counting, []).deliver(batch, { signal });
  expect(batches).toEqual([{ ...batch, events: [] }]);
});

test('what waits holds back its entity, whoever makes it wait, also what goes elsewhere', async () => {
  const make = new ConformanceEvents();
  const taken: string[] = [];
  const sink = routed(
    new ConsumerSink({
      name: 'consumer',
      handle({ event }) {
        if (event.eventType === 'refused') throw new Error('not now');
        taken.push(`${event.entityKey} ${event.eventType}`);
      },
    }),
    [
      {
        to: ['consumer'],
        type: 'throws',
        filter: () => {
          throw new Error('boom');
        },
        onError: 'retry',
      },
      {
        to: ['consumer'],
        type: 'poison',
        filter: () => {
          throw new Error('boom');
        },
      },
      { to: ['consumer'], type: ['ok', 'refused'] },
    ],
  );
  const events = [
    'a throws',
    'a ok',
    'b refused',
    'b elsewhere',
    'c poison',
    'c ok',
    'a elsewhere',
    'b poison',
  ].map((each) => make.make({ entityKey: each[0]!, eventType: each.slice(2) }));
  const results = await sink.deliver(batchOf(events), { signal });
  expect(results.map(({ type }) => type)).toEqual([
    ...['retry', 'retry', 'retry', 'retry', 'rejected', 'delivered', 'retry', 'retry'],
  ]);
  expect(taken).toEqual(['c ok']);
});
