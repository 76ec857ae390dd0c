import { expect, test } from 'vitest';
import type { DeliveryResult } from '../../sinks/sink.ts';
import { ScriptedSink } from './dispatcher-bench.suite.ts';
import { loggedEvent } from './event-fixture.suite.ts';
import { Bench, until } from './feed-bench.suite.ts';

type Results = readonly DeliveryResult[] | undefined;

/** Events 1 to 3 of the log, one transaction each, and 100 and 101 aside, all there before the feed takes any. */
async function run(
  sink: ScriptedSink,
  options: Partial<ConstructorParameters<typeof Bench>[0]> = {},
): Promise<Results> {
  const bench = new Bench({ sink, ...options });
  let results: Results;
  await bench.running(async () => {
    await until(() => bench.feed.mode === 'live');
    for (let tx = 0; tx < 3; tx += 1) {
      bench.log.begin(1);
      bench.log.finish();
    }
    bench.push();
    results = await bench.feed.handAside([loggedEvent(100), loggedEvent(101)]);
    await until(() => sink.delivered.includes(3));
  });
  return results;
}

test('what is handed over aside goes with what is read, in one batch and behind it', async () => {
  const sink = new ScriptedSink(() => 'delivered');
  expect(await run(sink)).toEqual([{ type: 'delivered' }, { type: 'delivered' }]);
  expect(sink.batches).toEqual([[1, 2, 3, 100, 101]]);
});

test('a batch has no more than its limit with it, and one event of what is read always', async () => {
  const sink = new ScriptedSink(() => 'delivered');
  await run(sink, { limit: { events: 4, bytes: 1_000_000 } });
  expect(sink.batches).toEqual([[1, 2, 100, 101], [3]]);
  const small = new ScriptedSink(() => 'delivered');
  await run(small, { limit: { events: 1, bytes: 1 } });
  expect(small.batches).toEqual([[1, 100, 101], [2], [3]]);
});

test('each has its own results, and what is refused or turned away of the one is nothing to the other', async () => {
  let again = false;
  const kept: bigint[] = [];
  const sink = new ScriptedSink(({ event: { seq } }) => {
    if (seq === 2n && !again) return 'retry';
    return seq === 3n || seq === 101n ? 'rejected' : 'delivered';
  });
  const bench = new Bench({ sink, onRejected: async ({ event }) => void kept.push(event.seq) });
  await bench.running(async () => {
    await until(() => bench.feed.mode === 'live');
    for (let tx = 0; tx < 3; tx += 1) {
      bench.log.begin(1);
      bench.log.finish();
    }
    bench.push();
    const results = await bench.feed.handAside([loggedEvent(100), loggedEvent(101)]);
    expect(results).toMatchObject([{ type: 'delivered' }, { type: 'rejected' }]);
    again = true;
    await until(() => bench.feed.delivered === 3);
  });
  expect(kept).toEqual([3n]);
  expect(sink.batches[0]).toEqual([1, 2, 3, 100, 101]);
  expect(sink.delivered).toEqual([1, 100, 2]);
});

test('where the sink says nothing of such a batch, what is read goes again without it', async () => {
  const sink = new ScriptedSink(() => (sink.batches.length === 1 ? 'throw' : 'delivered'));
  const error = { message: 'the connection is gone' };
  expect(await run(sink)).toMatchObject([
    { type: 'retry', error },
    { type: 'retry', error },
  ]);
  expect(sink.batches).toEqual([
    [1, 2, 3, 100, 101],
    [1, 2, 3],
  ]);
});

test('the next ones go by themselves until some are taken: what fails for them must not fail with them', async () => {
  // Not even a result for each: nothing can be said of a batch in which it is.
  let poison = true;
  const sink = new ScriptedSink(({ event: { seq } }) => (seq === 100n && poison ? 'throw' : 'delivered'));
  const bench = new Bench({ sink });
  const commit = (): void => {
    bench.log.begin(1);
    bench.log.finish();
    bench.push();
  };
  const aside = async (): Promise<Results> => await bench.feed.handAside([loggedEvent(100)]);
  await bench.running(async () => {
    await until(() => bench.feed.mode === 'live');
    const retry = [{ type: 'retry' }];
    for (let time = 1; time <= 3; time += 1) {
      commit();
      expect(await aside()).toMatchObject(retry);
      await until(() => sink.delivered.includes(time));
    }
    expect(sink.batches).toEqual([[1, 100], [1], [100], [2], [100], [3]]);
    poison = false;
    commit();
    expect(await aside()).toEqual([{ type: 'delivered' }]);
    await until(() => sink.delivered.includes(4));
    commit();
    expect(await aside()).toEqual([{ type: 'delivered' }]);
  });
  expect(sink.batches.slice(6)).toEqual([[100], [4], [5, 100]]);
});
