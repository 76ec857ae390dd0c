import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { beginning, comparePositions, type LoggedEvent } from '../log/outbox-event.ts';
import { toLsn } from '../replication/lsn.ts';
import type { DeliveryResult, Sink, SinkBatch } from '../sinks/sink.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { SinkFeed } from './sink-feed.ts';

function logged(index: number, entityKey: string | null): LoggedEvent {
  return {
    event: {
      eventId: `event-${index}`,
      seq: BigInt(index),
      tenantId: 'acme',
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
    position: { lsn: toLsn(BigInt(10 + Math.floor(index / 3))), ordinal: index % 3 },
    committedAt: 0,
    capturedAt: 0,
  };
}

/** A sink whose answers follow a script; it keeps its own books of what was handed over. */
class ScriptedSink implements Sink {
  readonly name = 'scripted';
  readonly features = { order: true, dedupe: false, ownCheckpoint: false };
  /** Every handing over, in order. */
  readonly handed: string[] = [];
  readonly delivered: LoggedEvent[] = [];
  readonly #answer: (event: LoggedEvent) => DeliveryResult['type'] | 'throw';

  constructor(answer: (event: LoggedEvent) => DeliveryResult['type'] | 'throw') {
    this.#answer = answer;
  }

  async deliver(batch: SinkBatch): Promise<DeliveryResult[]> {
    await Promise.resolve();
    const failed = new Set<string>();
    return batch.events.map((event) => {
      this.handed.push(event.event.eventId);
      const entity = event.event.entityKey;
      const answer = entity !== null && failed.has(entity) ? 'retry' : this.#answer(event);
      if (answer === 'throw') throw new Error('the connection is gone');
      if (answer === 'retry') {
        if (entity !== null) failed.add(entity);
        return { type: 'retry', afterMs: 1, error: new Error('later') };
      }
      if (answer === 'delivered') this.delivered.push(event);
      return answer === 'delivered' ? { type: 'delivered' } : { type: 'rejected', reason: 'poison' };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

async function drain(feed: SinkFeed, last: LoggedEvent): Promise<void> {
  const controller = new AbortController();
  const run = feed.run({ stopping: controller.signal, aborted: controller.signal });
  while (comparePositions(feed.delivered, last.position) < 0) await feed.progress;
  controller.abort();
  await run;
}

test('1 to 4 hold for any script of retries, refusals and any batch size', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({ entity: fc.constantFrom('a', 'b', 'c', null), fails: fc.nat(3), poison: fc.boolean() }),
        {
          minLength: 1,
          maxLength: 30,
        },
      ),
      fc.integer({ min: 1, max: 7 }),
      fc.nat(5),
      async (script, maxBatchEvents, skip) => {
        const events = script.map((step, index) => logged(index, step.entity));
        const from =
          skip === 0 ? beginning : (events[Math.min(skip, events.length) - 1] as LoggedEvent).position;
        const left = new Map(script.map((step, index) => [`event-${index}`, step.fails]));
        const rejected: string[] = [];
        const sink = new ScriptedSink((event) => {
          const fails = left.get(event.event.eventId) ?? 0;
          left.set(event.event.eventId, fails - 1);
          if (fails > 0) return 'retry';
          return script[Number(event.event.seq)]?.poison ? 'rejected' : 'delivered';
        });
        const seen: bigint[] = [];
        const feed = new SinkFeed({
          sink,
          from,
          logger: silentLogger,
          maxBatchEvents,
          onRejected: async (event) => {
            rejected.push(event.event.eventId);
          },
        });
        feed.offer(events);
        const last = events.at(-1) as LoggedEvent;
        if (comparePositions(from, last.position) < 0) await drain(feed, last);

        const expected = events.filter((event) => comparePositions(event.position, from) > 0);
        // 4: nothing at or before `from`, and everything after it was delivered or rejected, once.
        const done = [...sink.delivered.map((event) => event.event.eventId), ...rejected];
        expect(done.toSorted()).toEqual(expected.map((event) => event.event.eventId).toSorted());
        // 1: each entity's deliveries are in log order.
        for (const entity of ['a', 'b', 'c']) {
          const mine = sink.delivered
            .filter((event) => event.event.entityKey === entity)
            .map((e) => e.event.seq);
          expect(mine).toEqual(mine.toSorted((x, y) => (x < y ? -1 : 1)));
          seen.push(...mine);
        }
        expect(feed.bytes).toBe(0);
      },
    ),
    { numRuns: 200 },
  );
});

test('1: while an event fails, nothing later of its entity is handed over', async () => {
  let fails = 3;
  const sink = new ScriptedSink((event) =>
    event.event.eventId === 'event-0' && fails-- > 0 ? 'retry' : 'delivered',
  );
  const feed = new SinkFeed({
    sink,
    from: beginning,
    logger: silentLogger,
    maxBatchEvents: 1,
    onRejected: async () => undefined,
  });
  const events = [logged(0, 'a'), logged(1, 'a'), logged(2, 'b'), logged(3, 'a')];
  feed.offer(events);
  await drain(feed, events[3] as LoggedEvent);
  expect(sink.delivered.map((event) => event.event.eventId)).toEqual([
    'event-2',
    'event-0',
    'event-1',
    'event-3',
  ]);
  expect(sink.handed.filter((id) => id === 'event-0')).toHaveLength(4);
});

test('3: delivered does not pass an event that waits, though later ones of others are through', async () => {
  let open = true;
  const sink = new ScriptedSink((event) => (event.event.entityKey === 'a' && open ? 'retry' : 'delivered'));
  const feed = new SinkFeed({
    sink,
    from: beginning,
    logger: silentLogger,
    onRejected: async () => undefined,
  });
  const events = [logged(0, 'b'), logged(1, 'a'), logged(2, 'b'), logged(3, 'c')];
  feed.offer(events);
  const controller = new AbortController();
  const run = feed.run({ stopping: controller.signal, aborted: controller.signal });
  while (sink.delivered.length < 3) await setImmediate();
  expect(feed.delivered).toEqual((events[0] as LoggedEvent).position);
  open = false;
  while (comparePositions(feed.delivered, (events[3] as LoggedEvent).position) < 0) await feed.progress;
  controller.abort();
  await run;
});

test('a batch of which nothing can be said is handed over again, whole', async () => {
  let broken = 2;
  const sink = new ScriptedSink(() => (broken-- > 0 ? 'throw' : 'delivered'));
  const feed = new SinkFeed({
    sink,
    from: beginning,
    logger: silentLogger,
    onRejected: async () => undefined,
  });
  const events = [logged(0, 'a'), logged(1, 'b')];
  feed.offer(events);
  await drain(feed, events[1] as LoggedEvent);
  expect(sink.delivered.map((event) => event.event.eventId)).toEqual(['event-0', 'event-1']);
});

test('a dead letter that cannot be kept is tried again by itself: the batch is not handed over again', async () => {
  let broken = 2;
  const kept: string[] = [];
  const sink = new ScriptedSink((event) => (event.event.eventId === 'event-1' ? 'rejected' : 'delivered'));
  const feed = new SinkFeed({
    sink,
    from: beginning,
    logger: silentLogger,
    onRejected: async (event) => {
      if (broken-- > 0) throw new Error('the database is away');
      kept.push(event.event.eventId);
    },
  });
  const events = [logged(0, 'a'), logged(1, 'a'), logged(2, 'a')];
  feed.offer(events);
  await drain(feed, events[2] as LoggedEvent);
  expect(sink.handed).toEqual(['event-0', 'event-1', 'event-2']);
  expect(kept).toEqual(['event-1']);
});

test('3: stopped before a dead letter was kept, delivered stays before its event', async () => {
  const controller = new AbortController();
  const feed = new SinkFeed({
    sink: new ScriptedSink((event) => (event.event.eventId === 'event-1' ? 'rejected' : 'delivered')),
    from: beginning,
    logger: silentLogger,
    onRejected: async () => {
      controller.abort();
      throw new Error('the database is away');
    },
  });
  const events = [logged(0, 'a'), logged(1, 'a'), logged(2, 'b')];
  feed.offer(events);
  await feed.run({ stopping: controller.signal, aborted: new AbortController().signal });
  expect(feed.delivered).toEqual((events[0] as LoggedEvent).position);
});

test('bytes count small events too, and a great many held entities are no trouble', async () => {
  let open = false;
  const sink = new ScriptedSink(() => (open ? 'delivered' : 'retry'));
  const feed = new SinkFeed({
    sink,
    from: beginning,
    logger: silentLogger,
    maxBatchEvents: 1_000_000,
    onRejected: async () => undefined,
  });
  const events = Array.from({ length: 150_000 }, (_, index) => logged(index, null));
  feed.offer(events);
  expect(feed.bytes).toBeGreaterThan(150_000 * 1_000);
  const controller = new AbortController();
  const run = feed.run({ stopping: controller.signal, aborted: controller.signal });
  while (sink.handed.length < 150_000) await setImmediate();
  open = true;
  while (feed.bytes > 0) await feed.progress;
  controller.abort();
  await run;
  expect(sink.delivered).toHaveLength(150_000);
});
