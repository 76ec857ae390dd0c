import { expect, test } from 'vitest';
import { RoutesTo } from '../route.ts';
import { Bench } from './dispatcher-bench.suite.ts';
import { loggedEvent } from './event-fixture.suite.ts';

const fails = (): never => {
  throw new RangeError('boom');
};
const routes = (onError: 'dead-letter' | 'retry'): RoutesTo =>
  new RoutesTo('billing', [
    { to: ['billing'], type: 'bad', filter: fails, onError },
    { to: ['billing'], type: 'good' },
  ]);

function offer(bench: Bench, ...types: readonly string[]): void {
  for (const eventType of types) {
    const seq = bench.inHand.offered + 1;
    bench.inHand.offer(loggedEvent(seq, { event: { eventType, entityKey: String(seq) } }), seq);
  }
}

test.each(['retry', 'dead-letter'] as const)(
  'the checkpoint that a sink may store says nothing of an event whose route failed: %s',
  async (onError) => {
    const bench = new Bench(() => 'delivered', { routes: routes(onError) });
    offer(bench, 'good', 'bad', 'good', 'elsewhere');
    expect(await bench.step()).toBe('done');
    expect(bench.asked).toEqual([1]);
    expect(bench.sink.batches).toEqual([[1, 3]]);
    expect(bench.kept).toEqual(onError === 'retry' ? [] : [2]);
    expect(bench.inHand.passed).toBe(onError === 'retry' ? 1 : 4);
  },
);

test('a sink is not called for nothing, but for one that stores the checkpoint with its work', async () => {
  const bench = new Bench(() => 'delivered', { routes: routes('retry') });
  offer(bench, 'elsewhere', 'elsewhere');
  await bench.drain();
  expect(bench.sink.batches).toEqual([]);
  const own = new Bench(() => 'delivered', { routes: routes('retry') });
  own.sink.features.ownCheckpoint = true;
  offer(own, 'elsewhere');
  await own.drain();
  expect([own.sink.batches, own.asked]).toEqual([[[]], [1]]);
});

test('a sink that gives too few results is handed the batch again, and ends nothing', async () => {
  const bench = new Bench(() => 'delivered', { routes: routes('retry') });
  const deliver = bench.sink.deliver.bind(bench.sink);
  let calls = 0;
  bench.sink.deliver = async (...call) => {
    calls += 1;
    return (await deliver(...call)).slice(calls === 1 ? 1 : 0);
  };
  offer(bench, 'good', 'good');
  expect(await bench.step()).toBe('done');
  expect([calls, bench.inHand.passed]).toEqual([2, 2]);
});
