import { describe, expect, test } from 'vitest';
import { outboxEvent } from '../sinks/file/sink-batch.suite.ts';
import { type Route, RoutesTo, type Routing } from './route.ts';

const order = outboxEvent({
  eventType: 'order.placed',
  tenantId: 'acme',
  ecosystem: 'ofb',
  entityKey: 'o-1',
  headers: '{"region":"eu-west"}',
  payload: Buffer.from('{"total":1.0}'),
});

function routing(route: Partial<Route>, event = order): Routing {
  return new RoutesTo('nats', [{ to: ['nats'], ...route }]).of(event);
}

test('without routes everything goes everywhere, as it is', () => {
  expect(new RoutesTo('nats', undefined).of(order)).toEqual({ type: 'there', route: 0, event: order });
});

test.each<[Partial<Route>, boolean]>([
  [{}, true],
  [{ type: '*' }, true],
  [{ type: 'order.*' }, true],
  [{ type: 'order' }, false],
  [{ type: '*.placed' }, true],
  [{ type: 'o*r.p*d' }, true],
  [{ type: 'orderxplaced' }, false],
  [{ type: 'Order.placed' }, false],
  [{ type: ['payment.*', 'order.placed'] }, true],
  [{ type: [] }, false],
  [{ type: 'order.placed|x' }, false],
  [{ type: 'order.(placed)' }, false],
  [{ tenant: 'acme' }, true],
  [{ tenant: 'globex' }, false],
  [{ ecosystem: 'o*' }, true],
  [{ ecosystem: 'opin' }, false],
  [{ header: { region: 'eu-*' } }, true],
  [{ header: { region: 'us-*' } }, false],
  [{ header: { missing: '*' } }, false],
  [{ type: 'order.*', tenant: 'acme', ecosystem: 'ofb', header: { region: '*' } }, true],
  [{ type: 'order.*', tenant: 'globex' }, false],
  [{ filter: ({ json }) => (json() as { total: number }).total > 2 }, false],
  [{ filter: ({ headers, entityKey }) => headers['region'] === 'eu-west' && entityKey === 'o-1' }, true],
])('%j: %j', (route, there) => {
  expect(routing(route).type).toBe(there ? 'there' : 'elsewhere');
});

test('what an event has not matches no glob', () => {
  const bare = outboxEvent();
  expect(routing({ ecosystem: '*' }, bare).type).toBe('elsewhere');
  expect(routing({ header: { region: '*' } }, bare).type).toBe('elsewhere');
  expect(routing({ type: 'line\nbreak*' }, outboxEvent({ eventType: 'line\nbreak\nhere' })).type).toBe(
    'there',
  );
});

test('the first route that matches counts, and only those that lead there', () => {
  const routes: Route[] = [
    { to: ['other'], type: '*', subject: 'other' },
    { to: ['nats'], type: 'payment.*', subject: 'payments.<tenant>' },
    { to: ['nats', 'other'], type: 'order.*', subject: 'orders.<tenant>' },
    { to: ['nats'] },
  ];
  const to = new RoutesTo('nats', routes);
  expect(to.of(order)).toMatchObject({ type: 'there', route: 2, subject: 'orders.<tenant>' });
  expect(to.of(outboxEvent({ eventType: 'other' }))).toEqual({
    type: 'there',
    route: 3,
    event: expect.objectContaining({ eventType: 'other' }),
  });
  expect(to.subjects).toEqual(['payments.<tenant>', 'orders.<tenant>']);
  expect(to.ownSubject).toBe(true);
  expect(new RoutesTo('nats', routes.slice(0, 3)).ownSubject).toBe(false);
  expect(new RoutesTo('nowhere', routes).of(order)).toEqual({ type: 'elsewhere' });
});

test('a transform gives the bytes that go, and changes the event of no other sink', () => {
  const there = routing({ transform: ({ payload }) => payload.toString().toUpperCase() });
  expect(there).toMatchObject({ event: { payload: Buffer.from('{"TOTAL":1.0}'), eventId: order.eventId } });
  expect(order.payload.toString()).toBe('{"total":1.0}');
  const scratch = Buffer.from('123');
  const view = routing({ transform: () => scratch.subarray(1, 2) });
  scratch.fill('x');
  expect(view).toMatchObject({ event: { payload: Buffer.from('2') } });
});

test('what a function does to the event that it is given concerns nobody else', () => {
  const before = order.payload.toString();
  routing({
    filter({ payload, headers }) {
      payload.fill(0);
      (headers as Record<string, string>)['region'] = 'changed';
      return true;
    },
  });
  expect(order.payload.toString()).toBe(before);
  expect(routing({ header: { region: 'eu-*' } }).type).toBe('there');
});

test.each(['constructor', 'toString', '__proto__', 'valueOf'])(
  'no event has the header %s by itself',
  (name) => {
    expect(routing({ header: Object.fromEntries([[name, '*']]) }).type).toBe('elsewhere');
  },
);

test('no value takes long to be matched, whatever its producer wrote', () => {
  const event = outboxEvent({ headers: JSON.stringify({ region: 'a'.repeat(16_000) }) });
  const began = performance.now();
  expect(routing({ header: { region: '*a*a*a*a*a*b' } }, event).type).toBe('elsewhere');
  // A search that goes back takes minutes.
  expect(performance.now() - began).toBeLessThan(60_000);
});

describe('a function of a route that fails', () => {
  test.each<[string, Partial<Route>, string]>([
    [
      'a filter throws',
      {
        filter: () => {
          throw new RangeError('boom');
        },
      },
      'boom',
    ],
    [
      'a filter throws what is no error',
      {
        filter: () => {
          // oxlint-disable-next-line typescript/only-throw-error -- a user's function may.
          throw 'boom';
        },
      },
      'boom',
    ],
    [
      'a filter gives a promise',
      { filter: (async () => true) as never },
      'the filter gave a promise, not true or false',
    ],
    [
      'a filter gives a text',
      { filter: (() => 'yes') as never },
      'the filter gave a value of type string, not true or false',
    ],
    [
      'a transform gives a promise that is rejected',
      { transform: (async () => await Promise.reject(new Error('boom'))) as never },
      'the transform gave a promise, not a text or bytes',
    ],
    [
      'a transform gives what is no JSON',
      { transform: () => '{"a":' },
      'the transform gave 5 bytes that are no JSON',
    ],
    [
      'a transform gives bytes that are no UTF-8',
      { transform: () => Buffer.from([0x22, 0xff, 0x22]) },
      'the transform gave 3 bytes that are no JSON',
    ],
    [
      'a transform gives a byte order mark',
      { transform: () => Buffer.from('\ufeff1') },
      'the transform gave 4 bytes that are no JSON',
    ],
    [
      'a transform gives nothing',
      { transform: (() => undefined) as never },
      'the transform gave a value of type undefined, not a text or bytes',
    ],
    [
      'a transform gives null',
      { transform: (() => null) as never },
      'the transform gave null, not a text or bytes',
    ],
  ])('%s: said, with the number of the route', (_what, route, message) => {
    const failed = routing(route);
    expect(failed).toMatchObject({ type: 'failed', route: 0, onError: 'dead-letter' });
    expect(failed.type === 'failed' && failed.error.message).toBe(message);
  });

  test('it is not passed over for the next route', () => {
    const failing = {
      to: ['nats'],
      filter: () => {
        throw new Error('boom');
      },
      onError: 'retry',
    } as const;
    expect(new RoutesTo('nats', [failing, { to: ['nats'] }]).of(order)).toMatchObject({
      type: 'failed',
      onError: 'retry',
    });
  });
});
