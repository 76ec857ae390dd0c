import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { entityOf, type LoggedEvent } from '../../log/outbox-event.ts';
import type { DeliveryResult } from '../../sinks/sink.ts';
import { loggedEvent, seqs } from './event-fixture.suite.ts';
import { type BatchLimit, bytesOf, type Entry, InHand } from './in-hand.ts';

const wide: BatchLimit = { events: 1_000, bytes: 1_000_000 };
const delivered: DeliveryResult = { type: 'delivered' };
const rejected: DeliveryResult = { type: 'rejected', reason: 'poison' };
const retry = (afterMs: number): DeliveryResult => ({ type: 'retry', afterMs, error: new Error('later') });

function inHandOf(...entities: readonly (string | null)[]): { inHand: InHand; passed: number[] } {
  const passed: number[] = [];
  const inHand = new InHand(
    ({ logged }) => passed.push(Number(logged.event.seq)),
    undefined,
    () => 0,
  );
  for (const [index, entity] of entities.entries()) inHand.offer(loggedEvent(index + 1, { entity }), index);
  return { inHand, passed };
}

const named = (batch: readonly Entry[]): number[] => seqs(batch.map(({ logged }) => logged));

test('1: an event waits for every earlier one of its entity, also when it is offered later', () => {
  const { inHand } = inHandOf('claim-1', 'claim-1');
  inHand.settle(inHand.next(0, wide), [retry(10), retry(10)], 0);
  inHand.offer(loggedEvent(3, { entity: 'claim-1' }), 2);
  expect(named(inHand.next(9, wide))).toEqual([]);
  const again = inHand.next(10, wide);
  expect(named(again)).toEqual([1, 2, 3]);
  inHand.offer(loggedEvent(4, { entity: 'claim-1' }), 3);
  // While the repetition is under way as well.
  expect(named(inHand.next(10, wide))).toEqual([]);
  inHand.settle(again, [delivered, rejected, delivered], 10);
  expect(named(inHand.next(10, wide))).toEqual([4]);
});

test('2: what is behind something else waits, with what waits for its repetition; the others go on', () => {
  let behind: ReadonlySet<string> = new Set();
  const inHand = new InHand(
    () => undefined,
    () => behind,
  );
  const entities = ['claim-1', 'claim-2', null, 'claim-1'];
  for (const [index, entity] of entities.entries()) inHand.offer(loggedEvent(index + 1, { entity }), index);
  const first = inHand.next(0, { ...wide, events: 1 });
  inHand.settle(first, [retry(5)], 0);
  behind = new Set([1, 2].map((n) => entityOf(loggedEvent(1, { entity: `claim-${n}` }).event) ?? ''));
  expect(named(inHand.next(10, wide))).toEqual([3]);
  expect(inHand.nextRetryAt).toBeUndefined();
  behind = new Set();
  expect(named(inHand.next(10, wide))).toEqual([1, 4, 2]);
});

test('with one event of each entity in a batch, an entity with many keeps no other waiting', () => {
  const { inHand, passed } = inHandOf('hot', 'hot', 'hot', 'claim-1', null, 'claim-2', 'hot');
  const alone: BatchLimit = { ...wide, onePerEntity: true };
  const first = inHand.next(0, alone);
  expect(named(first)).toEqual([1, 4, 5, 6]);
  inHand.settle(first, [delivered, delivered, delivered, delivered], 0);
  const second = inHand.next(0, alone);
  expect(named(second)).toEqual([2]);
  inHand.settle(second, [retry(5)], 0);
  inHand.offer(loggedEvent(8, { entity: 'claim-1' }), 7);
  const third = inHand.next(0, alone);
  expect(named(third)).toEqual([8]);
  inHand.settle(third, [delivered], 0);
  for (const seq of [2, 3, 7]) {
    const batch = inHand.next(5, alone);
    expect(named(batch)).toEqual([seq]);
    inHand.settle(batch, [delivered], 5);
  }
  expect(passed).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});

test('1: what did not fit into the repetition waits for what did', () => {
  const { inHand } = inHandOf('claim-1', 'claim-1', 'claim-1');
  inHand.settle(inHand.next(0, wide), [retry(5), retry(5), retry(5)], 0);
  const first = inHand.next(5, { ...wide, events: 1 });
  inHand.settle(first, [retry(5)], 5);
  expect(inHand.nextRetryAt).toBe(10);
  expect(named(inHand.next(9, wide))).toEqual([]);
  expect(named(inHand.next(10, wide))).toEqual([1, 2, 3]);
});

test('2: other entities, and events of none, pass one that waits', () => {
  const { inHand, passed } = inHandOf('claim-1', 'claim-2', null, 'claim-1');
  const first = inHand.next(0, { ...wide, events: 3 });
  inHand.settle(first, [retry(1_000), delivered, retry(2_000)], 0);
  inHand.offer(loggedEvent(5, { entity: 'claim-2' }), 4);
  inHand.offer(loggedEvent(6), 5);
  expect(named(inHand.next(0, wide))).toEqual([5, 6]);
  expect(inHand.nextRetryAt).toBe(1_000);
  expect(passed).toEqual([]);
});

test('2: the same key of another tenant is another entity', () => {
  const { inHand } = inHandOf('claim-1');
  inHand.settle(inHand.next(0, wide), [retry(1_000)], 0);
  inHand.offer(loggedEvent(2, { entity: 'claim-1', event: { tenantId: 'globex' } }), 1);
  expect(named(inHand.next(0, wide))).toEqual([2]);
});

test('3: passed stops before the first one that waits, and then takes in what is done behind it', () => {
  const { inHand, passed } = inHandOf('claim-2', 'claim-1', 'claim-2', null);
  const batch = inHand.next(0, wide);
  expect(inHand.passedAfter(batch)).toBe(4);
  inHand.settle(batch, [delivered, retry(7), delivered, rejected], 0);
  expect(inHand.passed).toBe(1);
  expect(inHand.firstOpen?.place).toBe(1);
  const again = inHand.next(7, wide);
  expect(inHand.passedAfter(again)).toBe(4);
  expect(inHand.passedAfter([])).toBe(1);
  inHand.settle(again, [delivered], 7);
  expect(inHand.passed).toBe(4);
  expect(passed).toEqual([1, 2, 3, 4]);
  expect(inHand).toMatchObject({ bytes: 0, offered: 4, firstOpen: undefined, nextRetryAt: undefined });
});

test('a batch has its limits; a larger event goes alone', () => {
  const { inHand } = inHandOf();
  for (const [index, length] of [4, 4, 30, 4, 4, 4].entries()) {
    inHand.offer(loggedEvent(index + 1, { event: { payload: Buffer.alloc(length, 0x20) } }), index);
  }
  const limit: BatchLimit = { events: 2, bytes: 10 };
  const batches: number[][] = [];
  for (let batch = inHand.next(0, limit); batch.length > 0; batch = inHand.next(0, limit)) {
    batches.push(named(batch));
    inHand.settle(
      batch,
      batch.map(() => delivered),
      0,
    );
  }
  expect(batches).toEqual([[1, 2], [3], [4, 5], [6]]);
});

test('bytes count headers, and 1 KiB for each event, so that small ones count too', () => {
  const { inHand } = inHandOf(null);
  inHand.offer(loggedEvent(2, { event: { headers: '{"a": "1"}', payload: Buffer.from('{"n": 1}') } }), 1);
  expect(inHand.bytes).toBe(1_024 + 2 + 1_024 + 10 + 8);
});

test('2: what waits is not handed out again when a great many before it are forgotten', () => {
  const { inHand } = inHandOf();
  for (let index = 0; index < 6_000; index += 1) inHand.offer(loggedEvent(index + 1), index);
  const batch = inHand.next(0, { ...wide, events: 5_000 });
  inHand.settle(
    batch,
    batch.map((_entry, index) => (index === 4_500 ? retry(7) : delivered)),
    0,
  );
  expect(inHand).toMatchObject({ passed: 4_500, offered: 6_000 });
  const next = named(inHand.next(0, wide));
  expect([next[0], next.length]).toEqual([5_001, 1_000]);
  expect(inHand.entryBefore(4_501)?.logged.event.seq).toBe(4_501n);
  expect(named(inHand.next(7, wide))).toEqual([4_501]);
});

test('a great many entities that wait are no trouble', () => {
  const { inHand } = inHandOf();
  for (let index = 0; index < 50_000; index += 1) inHand.offer(loggedEvent(index + 1), index);
  const limit = { events: 1_000, bytes: 1_000_000 };
  const started = performance.now();
  for (let turn = 0; turn < 2; turn += 1) {
    for (let batch = inHand.next(turn, limit); batch.length > 0; batch = inHand.next(turn, limit)) {
      inHand.settle(
        batch,
        batch.map(() => (turn === 0 ? retry(1) : delivered)),
        turn,
      );
    }
  }
  expect(inHand.passed).toBe(50_000);
  // Quadratic, it would take far longer, however fast the machine.
  expect(performance.now() - started).toBeLessThan(60_000);
});

/** What the sink says of one event; for the later ones of its entity in the batch it says the same, as it must. */
const answers = fc.oneof(
  fc.constant(delivered),
  fc.constant(rejected),
  fc.nat(20).map((afterMs) => retry(afterMs)),
);

const steps = fc.array(
  fc.oneof(
    fc.record({
      do: fc.constant('offer' as const),
      entity: fc.constantFrom('claim-1', 'claim-2', 'claim-3', null),
      length: fc.nat(12),
    }),
    fc.record({
      do: fc.constant('deliver' as const),
      later: fc.nat(15),
      limit: fc.record({ events: fc.integer({ min: 1, max: 6 }), bytes: fc.integer({ min: 1, max: 40 }) }),
      answers: fc.array(answers, { minLength: 6, maxLength: 6 }),
    }),
  ),
  { maxLength: 60 },
);

/** The whole history in one list: everything is looked up in it anew. */
class NaiveInHand {
  readonly all: {
    readonly logged: LoggedEvent;
    done: boolean;
    waitsUntil: number | undefined;
    /** How often it was turned away, with nothing before it of its entity. */
    times: number;
  }[] = [];
  /** Entities of which an event ever failed: what comes behind a repetition may wait for the next batch. */
  readonly failed = new Set<string>();

  offer(logged: LoggedEvent): void {
    this.all.push({ logged, done: false, waitsUntil: undefined, times: 0 });
  }

  /** Names what keeps two events in order. */
  static entity(logged: LoggedEvent): string {
    return entityOf(logged.event) ?? logged.event.eventId;
  }

  get passed(): number {
    const open = this.all.findIndex(({ done }) => !done);
    return open === -1 ? this.all.length : open;
  }

  passedAfter(batch: readonly Entry[]): number {
    const handed = new Set(seqs(batch.map(({ logged }) => logged)));
    const open = this.all.findIndex(({ done, logged }) => !done && !handed.has(Number(logged.event.seq)));
    return open === -1 ? this.all.length : open;
  }

  /** What is not done of each entity, in order. */
  get waiting(): LoggedEvent[][] {
    const open = this.all.filter(({ done }) => !done).map(({ logged }) => logged);
    return [...Map.groupBy(open, (logged) => NaiveInHand.entity(logged)).values()];
  }

  stateOf(logged: LoggedEvent): (typeof this.all)[number] {
    return this.all[Number(logged.event.seq) - 1] as (typeof this.all)[number];
  }
}

function checkBatch(
  naive: NaiveInHand,
  {
    batch,
    now,
    limit,
  }: { readonly batch: readonly Entry[]; readonly now: number; readonly limit: BatchLimit },
): void {
  const handed = named(batch);
  const sizes = batch.map(({ logged }) => logged.event.payload.length);
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  expect(new Set(handed).size).toBe(handed.length);
  expect(batch.length).toBeLessThanOrEqual(limit.events);
  if (batch.length > 1) expect(bytes).toBeLessThanOrEqual(limit.bytes);
  const room = batch.length < limit.events && (batch.length === 0 || bytes + 12 <= limit.bytes);
  for (const waiting of naive.waiting) {
    const mine = seqs(waiting);
    // 1: of each entity the first ones that are not done, in order.
    const taken = handed.filter((seq) => mine.includes(seq));
    expect(taken).toEqual(mine.slice(0, taken.length));
    const failed = waiting
      .map((logged) => naive.stateOf(logged).waitsUntil)
      .find((until) => until !== undefined);
    if (failed !== undefined && failed > now) expect(taken).toEqual([]);
    // 2: where there is room, only what failed holds back, and only until it is due.
    else if (room) expect(taken.length).toBeGreaterThan(0);
    if (!naive.failed.has(NaiveInHand.entity(waiting[0] as LoggedEvent)) && room) expect(taken).toEqual(mine);
  }
}

/** Without any jitter: half of what doubles each time, up to half of 30 s. */
function leastWait(afterMs: number, times: number): number {
  let step = Math.max(1, afterMs);
  for (let doubled = 1; doubled < times; doubled += 1) step = Math.min(30_000, step * 2);
  return times === 1 ? afterMs : Math.max(afterMs, Math.round(step / 2));
}

/** What a sink that keeps the contract answers; the model takes it over. */
function answer(
  naive: NaiveInHand,
  {
    batch,
    now,
    script,
  }: { readonly batch: readonly Entry[]; readonly now: number; readonly script: readonly DeliveryResult[] },
): DeliveryResult[] {
  const failed = new Map<string, { readonly result: DeliveryResult; readonly until: number }>();
  return batch.map(({ logged }, index) => {
    const entity = NaiveInHand.entity(logged);
    const before = failed.get(entity);
    const result = before?.result ?? script[index % script.length] ?? delivered;
    const state = naive.stateOf(logged);
    if (result.type === 'retry') {
      if (before === undefined) state.times += 1;
      const until = before?.until ?? now + leastWait(result.afterMs, state.times);
      failed.set(entity, { result, until });
      naive.failed.add(entity);
      state.waitsUntil = until;
    } else {
      state.done = true;
      // What waits behind it is due at once.
      for (const each of naive.all) {
        if (!each.done && NaiveInHand.entity(each.logged) === entity && each.waitsUntil !== undefined) {
          each.waitsUntil = 0;
        }
      }
    }
    return result;
  });
}

describe('1 to 3 hold', () => {
  test('for any offers, batches, retries and refusals', () => {
    fc.assert(
      fc.property(steps, (script) => {
        const naive = new NaiveInHand();
        const passed: number[] = [];
        const inHand = new InHand(
          ({ logged }) => passed.push(Number(logged.event.seq)),
          undefined,
          () => 0,
        );
        let now = 1_000;
        let before = 0;
        const check = (): void => {
          // 3
          expect(inHand.passed).toBe(naive.passed);
          expect(inHand.passed).toBeGreaterThanOrEqual(before);
          before = inHand.passed;
          expect(passed).toEqual(seqs(naive.all.slice(0, before).map(({ logged }) => logged)));
          expect(inHand.offered).toBe(naive.all.length);
          const open = naive.all.slice(before);
          const kept = open.map(({ logged, done }) => (done ? 1_024 : bytesOf(logged)));
          expect(inHand.bytes).toBe(kept.reduce((sum, bytes) => sum + bytes, 0));
          expect(inHand.firstOpen?.logged).toBe(open[0]?.logged);
          for (let at = before + 1; at <= naive.all.length; at += 1) {
            const { logged, done } = naive.all[at - 1] as (typeof naive.all)[number];
            const { event } = logged;
            const left = { ...event, payload: Buffer.alloc(0), headers: null };
            expect(inHand.entryBefore(at)?.logged).toEqual(done ? { ...logged, event: left } : logged);
          }
        };
        const deliver = (limit: BatchLimit, results: readonly DeliveryResult[]): number => {
          const batch = inHand.next(now, limit);
          checkBatch(naive, { batch, now, limit });
          expect(inHand.passedAfter(batch)).toBe(naive.passedAfter(batch));
          inHand.settle(batch, answer(naive, { batch, now, script: results }), now);
          check();
          return batch.length;
        };
        for (const step of script) {
          if (step.do === 'offer') {
            const logged = loggedEvent(naive.all.length + 1, {
              entity: step.entity,
              event: { payload: Buffer.alloc(step.length) },
            });
            naive.offer(logged);
            inHand.offer(logged, naive.all.length - 1);
            check();
          } else {
            now += step.later;
            deliver(step.limit, step.answers);
          }
        }
        // Whatever waits goes once its time has come.
        for (;;) {
          if (deliver(wide, [delivered]) > 0) continue;
          if (inHand.nextRetryAt === undefined) break;
          expect(inHand.nextRetryAt).toBeGreaterThan(now);
          now = inHand.nextRetryAt;
        }
        expect(inHand.passed).toBe(naive.all.length);
      }),
      { numRuns: 1_000 },
    );
  });
});
