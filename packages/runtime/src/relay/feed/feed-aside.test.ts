import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { runtimeError } from '../../errors/codes.ts';
import type { Checkpoint } from '../../log/checkpoint.ts';
import { comparePositions, entityOf, type LoggedEvent } from '../../log/outbox-event.ts';
import type { DeliveryResult, Sink, SinkBatch } from '../../sinks/sink.ts';
import { RoutesTo } from '../route.ts';
import { loggedEvent } from './event-fixture.suite.ts';
import type { FeedOptions } from './feed.ts';
import { Bench, until } from './feed-bench.suite.ts';

test('what is handed over aside comes behind a batch, and moves no checkpoint', async () => {
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
  // A batch of the log and one aside, the next and the other one: neither waits for all of the other.
  expect(bench.handed.slice(0, 4)).toEqual([1, 100, 2, 200]);
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

/** Stores its own checkpoint, with what it is handed. */
class Storing implements Sink {
  readonly name = 'billing';
  readonly features = { order: true, dedupe: true, ownCheckpoint: true };
  readonly handed: bigint[] = [];
  /** Of what comes aside. */
  readonly checkpoints: Checkpoint[] = [];
  takes: (seq: bigint) => boolean = () => true;

  async deliver({ events, checkpoint }: SinkBatch): Promise<DeliveryResult[]> {
    return events.map(({ event: { seq } }) => {
      if (seq >= 100n) this.checkpoints.push(checkpoint);
      if (!this.takes(seq)) return { type: 'retry', afterMs: 10, error: new Error('not now') };
      this.handed.push(seq);
      return { type: 'delivered' };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

test('a sink that stores its own checkpoint is given the one that is true at that moment: of what it has, not of what it is about to get', async () => {
  const sink = new Storing();
  const bench = new Bench({ sink });
  const write = (): void => {
    bench.log.begin(1);
    bench.log.finish();
    bench.push();
  };
  await bench.running(async () => {
    await until(() => bench.feed.mode === 'live');
    write();
    await until(() => sink.handed.length === 1);
    sink.takes = (seq) => seq !== 2n;
    write();
    await bench.feed.handAside([loggedEvent(100)]);
    await bench.feed.handAside([loggedEvent(101)]);
  });
  const [has, next] = bench.log.events.map(({ position }) => position);
  const last = sink.checkpoints.at(-1);
  expect(last).toMatchObject({ mode: 'live' });
  expect(comparePositions(last!.position, has!)).toBeGreaterThanOrEqual(0);
  expect(comparePositions(last!.position, next!)).toBeLessThan(0);
});

test.each([
  [true, 0],
  [false, 1],
])(
  'what such a sink stored aside (%s) is not written once more, and what it did not is',
  async (takes, writes) => {
    const sink = new Storing();
    const bench = new Bench({ sink, checkpointMs: 1e9 });
    let before = 0;
    await bench.running(async () => {
      bench.log.begin(1);
      bench.log.finish();
      bench.push();
      await until(() => sink.handed.length === 1 && bench.feed.mode === 'live');
      bench.tick();
      sink.takes = () => takes;
      for (const seq of [100, 101]) await bench.feed.handAside([loggedEvent(seq)]);
      before = bench.stored.length;
    });
    expect(sink.checkpoints).toHaveLength(2);
    expect(bench.stored.length - before).toBe(writes);
  },
);

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

test('what is held back goes on once that is said, also by the very same set, with nothing left in it', async () => {
  // Its memory is full with what is held back, and nothing else wakes it.
  const bench = new Bench({ inHandBytes: 1, checkpointMs: 3_600_000, pollMs: 3_600_000 }, { wal: false });
  for (let tx = 0; tx < 3; tx += 1) {
    bench.log.begin(1);
    bench.log.write(0, 'k');
  }
  bench.log.finish();
  const held = new Set([entityOf((bench.log.events[0] as LoggedEvent).event) as string]);
  bench.feed.holdBack(held);
  await bench.running(async () => {
    await bench.feed.handAside([loggedEvent(100)]);
    for (let turn = 0; turn < 1_000; turn += 1) await nextTurn();
    expect(bench.handed).toEqual([100]);
    held.clear();
    bench.feed.holdBack(held);
    await until(() => bench.handed.length === 4);
  });
  expect(bench.handed).toEqual([100, 1, 2, 3]);
});

function fails(): never {
  throw new RangeError('boom');
}
