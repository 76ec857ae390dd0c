import { expect, test } from 'vitest';
import type { DeliveryResult } from '../../sinks/sink.ts';
import { ConformanceEvents } from '../../testing/sink-conformance/conformance-events.ts';
import { type Route, RoutesTo } from '../route.ts';
import { allResults, routeBatch } from './routed-batch.ts';

const fails = (): never => {
  throw new RangeError('secret');
};
const routes: Route[] = [
  { to: ['sink'], type: 'throws', filter: fails, onError: 'retry' },
  { to: ['sink'], type: 'poison', transform: fails },
  { to: ['sink'], type: 'order.*', transform: () => '"changed"', subject: 'orders' },
  { to: ['sink'], type: 'ok' },
];
const to = new RoutesTo('sink', routes);

/** Of entities by their letter: `a ok` is one of type ok. */
function batchOf(...all: string[]): ReturnType<ConformanceEvents['make']>[] {
  const make = new ConformanceEvents();
  return all.map((each) => make.make({ entityKey: each[0] ?? null, eventType: each.slice(2) }));
}

const delivered: DeliveryResult = { type: 'delivered' };
const retry: DeliveryResult = { type: 'retry', afterMs: 5, error: new Error('not now') };

test('without routes the batch is handed over as it is', () => {
  const batch = batchOf('a ok', 'b elsewhere');
  const routed = routeBatch(batch, undefined);
  expect(routed.handed).toBe(batch);
  expect(allResults(batch, routed, [retry, delivered])).toEqual([retry, delivered]);
});

test('each event goes where its route says, as what it makes of it; the others are done', () => {
  const batch = batchOf('a order.x', 'b elsewhere', 'c poison', 'd ok');
  const routed = routeBatch(batch, to);
  expect(
    routed.handed.map(({ event, subject }) => [event.eventType, subject, event.payload.toString()]),
  ).toEqual([
    ['order.x', 'orders', '"changed"'],
    ['ok', undefined, '{"n":4}'],
  ]);
  const results = allResults(batch, routed, [delivered, retry]);
  expect(results.map(({ type }) => type)).toEqual(['delivered', 'delivered', 'rejected', 'retry']);
  expect(results[2]).toMatchObject({ reason: 'routes[1] threw RangeError', error: { message: 'secret' } });
});

test('what waits holds back its entity, whoever makes it wait, also what goes elsewhere or is poison', () => {
  const batch = batchOf(
    ...['a throws', 'a ok', 'b ok', 'b elsewhere', 'c poison', 'c ok', 'a elsewhere', 'b poison'],
  );
  const routed = routeBatch(batch, to);
  expect(routed.handed.map(({ event }) => `${event.entityKey} ${event.eventType}`)).toEqual(['b ok', 'c ok']);
  const results = allResults(batch, routed, [retry, delivered]);
  expect(results.map(({ type }) => type)).toEqual([
    ...['retry', 'retry', 'retry', 'retry', 'rejected', 'delivered', 'retry', 'retry'],
  ]);
});

test('the message of what a function threw is in no result that is logged', () => {
  const [first] = routeBatch(batchOf('a throws'), to).decided;
  expect(first).toMatchObject({ type: 'retry', error: { message: 'routes[0] threw RangeError' } });
});
