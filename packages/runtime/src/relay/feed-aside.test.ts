import { expect, test } from 'vitest';
import { runtimeError } from '../errors/codes.ts';
import { loggedEvent } from './event-fixture.suite.ts';
import type { FeedOptions } from './feed.ts';
import { Bench, until } from './feed-bench.suite.ts';
import { RoutesTo } from './route.ts';

test('what is handed over aside comes between two batches, and moves no checkpoint', async () => {
  const bench = new Bench({ limit: { events: 1, bytes: 1_000_000 } });
  await bench.running(async () => {
    await until(() => bench.feed.mode === 'live');
    const asides = [100, 200].map(async (seq) => await bench.feed.handAside([loggedEvent(seq)]));
    for (let tx = 0; tx < 3; tx += 1) {
      bench.log.begin(1);
      bench.log.finish();
    }
    bench.push();
    expect(await Promise.all(asides)).toEqual([[{ type: 'delivered' }], [{ type: 'delivered' }]]);
    await until(() => bench.handed.length === 5);
  });
  expect(bench.handed.filter((seq) => seq < 100)).toEqual([1, 2, 3]);
  // One aside, one batch of the log, the other aside: neither waits for all of the other.
  expect(bench.handed.slice(0, 3)).toEqual([100, 1, 200]);
  expect(bench.feed.delivered).toBe(3);
});

test('a sink that takes nothing of it goes on with what is read; what it refuses is only told', async () => {
  const kept: bigint[] = [];
  const bench = new Bench({ onRejected: async ({ event }) => void kept.push(event.seq) });
  bench.onHanded = ({ event }) => {
    if (event.seq === 100n) throw new Error('not this one');
  };
  await bench.running(async () => {
    await until(() => bench.feed.mode === 'live');
    const [result] = (await bench.feed.handAside([loggedEvent(100)])) ?? [];
    expect(result).toMatchObject({ type: 'retry', error: { message: 'not this one' } });
    bench.log.begin(1);
    bench.log.finish();
    bench.push();
    await until(() => bench.handed.includes(1));
  });
  expect(kept).toEqual([]);
});

test('routes hold for it', async () => {
  const routes = new RoutesTo('billing', [
    { to: ['billing'], type: 'bad', filter: fails, onError: 'dead-letter' },
    { to: ['billing'], type: 'good' },
  ]);
  const bench = new Bench({ routes });
  const events = ['good', 'bad', 'elsewhere'].map((eventType, index) =>
    loggedEvent(100 + index, { event: { eventType, entityKey: eventType } }),
  );
  await bench.running(async () => {
    const results = await bench.feed.handAside(events);
    expect(results?.map(({ type }) => type)).toEqual(['delivered', 'rejected', 'delivered']);
  });
  expect(bench.handed).toEqual([100]);
});

test('a paused sink takes none of it; when the feed ends nobody waits for ever, and when the lease is lost it ends', async () => {
  let paused = false;
  const pool = { query: async () => ({ rows: [{ paused }] }) };
  const bench = new Bench({ pool: pool as unknown as FeedOptions['pool'] });
  let aside: Promise<unknown> | undefined;
  await bench.running(async () => {
    await until(() => bench.feed.mode === 'live');
    paused = true;
    bench.feed.setPaused(true);
    await until(() => bench.feed.place === undefined);
    aside = bench.feed.handAside([loggedEvent(100)]);
  });
  expect(await aside).toBeUndefined();
  expect(await bench.feed.handAside([loggedEvent(101)])).toBeUndefined();
  expect(bench.handed).toEqual([]);
  const lost = new Bench({ valid: () => false });
  const signal = new AbortController().signal;
  const run = lost.feed.run({ stopping: signal, aborted: signal });
  const handed = lost.feed.handAside([loggedEvent(100)]);
  await expect(run).rejects.toMatchObject({ code: runtimeError('ER1207').code });
  expect(await handed).toBeUndefined();
});

function fails(): never {
  throw new RangeError('boom');
}
