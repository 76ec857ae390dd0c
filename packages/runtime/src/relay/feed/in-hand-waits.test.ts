import { describe, expect, test } from 'vitest';
import type { DeliveryResult } from '../../sinks/sink.ts';
import { loggedEvent, seqs } from './event-fixture.suite.ts';
import { type BatchLimit, InHand } from './in-hand.ts';

const wide: BatchLimit = { events: 1_000, bytes: 1_000_000 };
const delivered: DeliveryResult = { type: 'delivered' };
const retry = (afterMs: number): DeliveryResult => ({ type: 'retry', afterMs, error: new Error('later') });

/** @param random default: the waits are as short as may be */
function inHandOf(entities: readonly string[], random: () => number = () => 0): InHand {
  const inHand = new InHand(() => undefined, undefined, random);
  for (const [index, entity] of entities.entries()) inHand.offer(loggedEvent(index + 1, { entity }), index);
  return inHand;
}

test('the oldest of those that wait is known, since when, and why the last time', () => {
  const inHand = inHandOf(['a', 'b', 'b', 'c']);
  const oldest = (): unknown => {
    const { entry, since, error } = inHand.oldestTurnedAway ?? {};
    return entry === undefined ? undefined : [Number(entry.logged.event.seq), since, error?.message];
  };
  const because = (message: string): DeliveryResult => ({
    ...{ type: 'retry', afterMs: 1 },
    error: new Error(message),
  });
  inHand.settle(inHand.next(5, wide), [delivered, because('b'), because('b'), because('c')], 5);
  expect(oldest()).toEqual([2, 5, 'b']);
  inHand.settle(inHand.next(6, wide), [because('again'), because('again'), because('c')], 6);
  expect(oldest()).toEqual([2, 5, 'again']);
  inHand.settle(inHand.next(7, wide), [delivered, because('its own'), because('c')], 7);
  expect(oldest()).toEqual([3, 7, 'its own']);
  inHand.settle(inHand.next(8, { ...wide, events: 1 }), [delivered], 8);
  expect(oldest()).toEqual([4, 5, 'c']);
  inHand.settle(inHand.next(9, wide), [delivered], 9);
  expect(oldest()).toBeUndefined();
});

test('what is delivered behind one that waits is kept without its payload', () => {
  const inHand = inHandOf([]);
  const payload = Buffer.alloc(100_000, 0x20);
  for (let index = 0; index < 50; index += 1) {
    inHand.offer(loggedEvent(index + 1, { event: { payload, headers: '{"a": "1"}' } }), index);
  }
  for (let most = 10; most <= 40; most += 10) {
    const batch = inHand.next(0, { events: 10, bytes: 10_000_000 });
    inHand.settle(
      batch,
      batch.map(({ place }) => (place === 5 ? retry(7) : delivered)),
      0,
    );
    const whole = 1 + 50 - most;
    expect(inHand.bytes).toBe(whole * (100_000 + 10 + 1_024) + (most - 6) * 1_024);
  }
  // The one that waits is whole.
  expect(inHand.next(7, { events: 1, bytes: 1 })[0]?.logged.event.payload).toBe(payload);
});

describe('an event that is turned away again and again', () => {
  /** Hands over what is due, which is turned away. @returns how long it waits then, as the caller is told and as it does */
  function turnAway(inHand: InHand, afterMs: number): number {
    const now = inHand.nextRetryAt ?? 0;
    const batch = inHand.next(now, wide);
    const told = inHand.settle(
      batch,
      batch.map(() => retry(afterMs)),
      now,
    );
    const waits = (inHand.nextRetryAt ?? 0) - now;
    expect(told).toBe(waits);
    return waits;
  }

  function waitsOf(afterMs: number, random: () => number, times: number): number[] {
    const inHand = inHandOf(['claim-1'], random);
    return Array.from({ length: times }, () => turnAway(inHand, afterMs));
  }

  test('waits longer each time, never less than the sink asks for, up to half a minute', () => {
    expect(waitsOf(1_000, () => 0, 8)).toEqual([1_000, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
    expect(waitsOf(1_000, () => 1, 7)).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    expect(waitsOf(0, () => 1, 5)).toEqual([0, 2, 4, 8, 16]);
    // What is no time is taken for none: it does not come again at once for ever.
    expect(waitsOf(Number.NaN, () => 1, 3)).toEqual([0, 2, 4]);
    expect(waitsOf(3_600_000, () => 1, 3)).toEqual([3_600_000, 3_600_000, 3_600_000]);
  });

  test('after it was taken, what waited behind it is due at once, and begins anew', () => {
    const inHand = inHandOf(['claim-1', 'claim-1']);
    for (let times = 0; times < 5; times += 1) turnAway(inHand, 1_000);
    const now = inHand.nextRetryAt ?? 0;
    inHand.settle(inHand.next(now, { ...wide, events: 1 }), [delivered], now);
    const next = inHand.next(now, wide);
    expect(seqs(next.map(({ logged }) => logged))).toEqual([2]);
    expect(inHand.settle(next, [retry(1_000)], now)).toBe(1_000);
  });

  test('those that were handed over together come again together', () => {
    const entities = Array.from({ length: 100 }, (_, n) => `claim-${n}`);
    const inHand = inHandOf(entities, Math.random);
    for (let times = 0; times < 6; times += 1) {
      const now = inHand.nextRetryAt ?? 0;
      const batch = inHand.next(now, wide);
      expect(batch).toHaveLength(100);
      inHand.settle(
        batch,
        batch.map(() => retry(1_000)),
        now,
      );
    }
  });
});
