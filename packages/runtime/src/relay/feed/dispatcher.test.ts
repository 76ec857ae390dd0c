import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { runtimeError } from '../../errors/codes.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { Bench } from './dispatcher-bench.suite.ts';

describe('a batch', () => {
  test('is handed over with the checkpoint that is true once all of it is delivered', async () => {
    const bench = new Bench(({ event }) => (event.seq === 2n ? 'retry' : 'delivered'));
    bench.sink.retryAfterMs = 1_000_000;
    expect(await bench.step()).toBe('none');
    expect(await bench.offer('claim-1', 'claim-2', 'claim-3').step()).toBe('done');
    expect(bench.inHand.passed).toBe(1);
    // Event 2 waits: with all of the next batch delivered, the first one is still all that there is.
    expect(await bench.offer('claim-3').step()).toBe('done');
    expect(bench.sink.batches).toEqual([[1, 2, 3], [4]]);
    expect(bench.asked).toEqual([3, 1]);
    expect(bench.sink.checkpoints.map(({ floorSeq }) => floorSeq)).toEqual([3n, 1n]);
    expect(await bench.step()).toBe('none');
    expect(bench.sink.signal).toBe(bench.aborted.signal);
  });

  test('of which nothing can be said is handed over again, whole', async () => {
    let broken = 2;
    const bench = new Bench(({ event }) => (event.seq === 2n && broken-- > 0 ? 'throw' : 'delivered'));
    expect(await bench.offer('claim-1', 'claim-2').step()).toBe('done');
    expect(bench.sink.batches).toEqual([
      [1, 2],
      [1, 2],
      [1, 2],
    ]);
    expect(bench.inHand.passed).toBe(2);
  });

  test('of which too little is said, as well: nothing is taken for delivered', async () => {
    let short = true;
    const bench = new Bench(() => 'delivered');
    const deliver = bench.sink.deliver.bind(bench.sink);
    bench.sink.deliver = async (batch, options) => {
      const results = await deliver(batch, options);
      if (short) results.pop();
      short = false;
      return results;
    };
    expect(await bench.offer('claim-1', 'claim-2').step()).toBe('done');
    expect(bench.sink.batches).toEqual([
      [1, 2],
      [1, 2],
    ]);
  });

  test('is finished when a stop, or an interruption, comes while the sink works on it', async () => {
    for (const signal of ['stopping', 'interrupted'] as const) {
      const bench = new Bench(() => {
        if (signal === 'stopping') bench.stopping.abort();
        else bench.interrupted = true;
        return 'delivered';
      });
      expect(await bench.offer('claim-1').step()).toBe('done');
      expect(bench.inHand.passed).toBe(1);
    }
  });

  test('is not begun after a stop', async () => {
    const bench = new Bench(() => 'delivered');
    bench.stopping.abort();
    expect(await bench.offer('claim-1').step()).toBe('given-up');
    expect(bench.sink.batches).toEqual([]);
  });

  test.each([
    ['when a stop comes', (bench: Bench) => bench.stopping.abort()],
    [
      'when the feed has left or is paused, and says so by waking',
      (bench: Bench) => {
        bench.interrupted = true;
        bench.dispatcher.wake();
      },
    ],
  ])('is given up after a failure %s, at once', async (_when, interrupt) => {
    let least = Number.POSITIVE_INFINITY;
    // After the third failure the next attempt would be 200 to 400 ms away. A busy machine may be late, but not always.
    for (let tries = 1; tries <= 10 && least >= 200; tries += 1) {
      const bench = new Bench(() => 'throw');
      const stepping = bench.offer('claim-1').step();
      while (bench.sink.batches.length < 3) await nextTurn();
      const since = performance.now();
      interrupt(bench);
      expect(await stepping).toBe('given-up');
      least = Math.min(least, performance.now() - since);
      expect(bench.sink.batches).toHaveLength(3);
      expect(bench.inHand.passed).toBe(0);
    }
    expect(least).toBeLessThan(200);
  });

  test('that failed is not tried sooner because something arrives', async () => {
    const at: number[] = [];
    const bench = new Bench(() => (at.push(performance.now()) === 1 ? 'throw' : 'delivered'));
    const stepping = bench.offer('claim-1').step();
    const state = { over: false };
    const ended = stepping.finally(() => (state.over = true));
    while (!state.over) {
      bench.dispatcher.wake();
      await nextTurn();
    }
    expect(await ended).toBe('done');
    // The first repetition comes after 50 to 100 ms; a timer may be a millisecond early.
    expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThanOrEqual(49);
  });

  test('is not handed over when the lease is lost; nor tried again when the sink says so: ER1207', async () => {
    const lost = new Bench(() => 'delivered', { valid: () => false }).offer('claim-1');
    await expect(lost.step()).rejects.toMatchObject({ code: 'ER1207' });
    expect(lost.sink.batches).toEqual([]);
    const fenced = new Bench(() => {
      throw runtimeError('ER1207');
    }).offer('claim-1');
    await expect(fenced.step()).rejects.toMatchObject({ code: 'ER1207' });
    expect(fenced.sink.batches).toHaveLength(1);
  });
});

describe('a dead letter', () => {
  test('that cannot be kept is tried again by itself: the batch is not handed over again', async () => {
    let broken = 1;
    const kept: bigint[] = [];
    const bench = new Bench(({ event }) => (event.seq === 2n ? 'rejected' : 'delivered'), {
      onRejected: async ({ event }) => {
        if (broken-- > 0) throw new Error('the database is away');
        kept.push(event.seq);
      },
    });
    expect(await bench.offer('claim-1', 'claim-1', 'claim-1').step()).toBe('done');
    expect(bench.sink.batches).toEqual([[1, 2, 3]]);
    expect(kept).toEqual([2n]);
    expect(bench.inHand.passed).toBe(3);
  });

  test('is kept before its event counts as done; stopped before, nothing of the batch does', async () => {
    const bench = new Bench(({ event }) => (event.seq === 2n ? 'rejected' : 'delivered'), {
      onRejected: async () => {
        expect(bench.inHand.passed).toBe(0);
        bench.stopping.abort();
        throw new Error('the database is away');
      },
    });
    expect(await bench.offer('claim-1', 'claim-2', 'claim-3').step()).toBe('given-up');
    expect(bench.inHand.passed).toBe(0);
  });

  test('is not written for another lease: ER1207', async () => {
    const bench = new Bench(() => 'rejected', {
      onRejected: async () => {
        throw runtimeError('ER1207');
      },
    });
    await expect(bench.offer('claim-1').step()).rejects.toMatchObject({ code: 'ER1207' });
  });
});

describe('a wait ends', () => {
  test('when it is woken, also when that came just before', async () => {
    const bench = new Bench(() => 'delivered');
    bench.dispatcher.wake();
    await bench.wait();
    let over = false;
    const waiting = bench.wait().then(() => (over = true));
    await nextTurn();
    // The first waking is used up.
    expect(over).toBe(false);
    bench.dispatcher.wake();
    await waiting;
  });

  test('when it is stopped', async () => {
    const bench = new Bench(() => 'delivered');
    const waiting = bench.wait();
    bench.stopping.abort();
    await waiting;
    await expect(bench.wait(1_000_000)).resolves.toBeUndefined();
  });

  test('when a repetition is due, or after so many milliseconds, whichever comes first', async () => {
    const bench = new Bench(() => 'retry');
    await bench.wait(5);
    await bench.offer('claim-1').step();
    await bench.wait(1_000_000);
    expect(bench.inHand.nextRetryAt).toBeLessThanOrEqual(performance.now() + 1);
  });

  test('not at once, when the repetition is due in a month', async () => {
    const bench = new Bench(() => 'delivered');
    bench.offer('claim-1');
    const month = { type: 'retry', afterMs: 30 * 86_400_000, error: new Error('later') } as const;
    bench.inHand.settle(
      bench.inHand.next(performance.now(), { events: 1, bytes: 1 }),
      [month],
      performance.now(),
    );
    const first = await Promise.race([bench.wait().then(() => 'woken'), sleep(30, 'waits')]);
    expect(first).toBe('waits');
    bench.dispatcher.wake();
  });
});

test('for any script of failures, retries and refusals each event is done once, and each entity in order', async () => {
  const script = fc.array(
    fc.record({
      entity: fc.constantFrom('claim-1', 'claim-2', 'claim-3', null),
      fails: fc.nat(3),
      poison: fc.boolean(),
    }),
    { minLength: 1, maxLength: 30 },
  );
  await fc.assert(
    fc.asyncProperty(script, fc.integer({ min: 1, max: 7 }), async (events, most) => {
      const left = events.map(({ fails }) => fails);
      const bench = new Bench(
        ({ event }) => {
          const index = Number(event.seq) - 1;
          left[index] = (left[index] ?? 0) - 1;
          if ((left[index] ?? 0) >= 0) return 'retry';
          return events[index]?.poison ? 'rejected' : 'delivered';
        },
        { limit: { events: most, bytes: 1_000 } },
      );
      await bench.offer(...events.map(({ entity }) => entity)).drain();
      const all = events.map((_event, index) => index + 1);
      expect([...bench.sink.delivered, ...bench.kept].toSorted((a, b) => a - b)).toEqual(all);
      for (const entity of ['claim-1', 'claim-2', 'claim-3']) {
        const mine = bench.sink.delivered.filter((seq) => events[seq - 1]?.entity === entity);
        expect(mine).toEqual(mine.toSorted((a, b) => a - b));
      }
      expect(bench.inHand.bytes).toBe(0);
    }),
    { numRuns: 100 },
  );
});

test('what is turned away is one line for a batch, each time with a longer wait, and the sink has trouble until nothing of it waits', async () => {
  const lines: Array<Readonly<Record<string, unknown>>> = [];
  const write = (line: string): void => void lines.push(JSON.parse(line) as Record<string, unknown>);
  let refusing = true;
  const bench = new Bench(() => (refusing ? 'retry' : 'delivered'), {
    logger: createLogger({ destination: { write } }),
  });
  await bench.offer('a', 'a', 'b', 'c').step();
  expect(lines).toMatchObject([{ event: 'relay.sink.retry', sink: 'billing', events: 4 }]);
  expect(bench.dispatcher.trouble).toMatchObject({ message: 'later' });
  while (lines.length < 6) if ((await bench.step()) === 'none') await bench.wait();
  refusing = false;
  await bench.drain();
  expect([bench.dispatcher.trouble, bench.dispatcher.waiting]).toEqual([undefined, undefined]);
  expect(lines.map(({ events }) => events)).toEqual([4, 4, 4, 4, 4, 4]);
  expect(lines[0]?.['delayMs']).toBe(1);
  // Half of what has doubled five times is certain.
  expect(lines[5]?.['delayMs']).toBeGreaterThanOrEqual(16);
});

test('what waits is the sink’s trouble, and is named, also while others are taken', async () => {
  const bench = new Bench(({ event }) => (event.seq === 2n ? 'retry' : 'delivered'));
  bench.sink.retryAfterMs = 1_000_000;
  await bench.offer('a', 'b', 'b').step();
  const { eventId, since } = bench.dispatcher.waiting ?? {};
  expect(eventId).toBe(bench.inHand.firstOpen?.logged.event.eventId);
  expect(Math.abs(Date.now() - Number(since))).toBeLessThan(60_000);
  await bench.offer('c').step();
  expect(bench.sink.delivered).toEqual([1, 4]);
  expect(bench.dispatcher.trouble).toMatchObject({ message: 'later' });
  expect(bench.dispatcher.waiting).toEqual({ eventId, since });
});
