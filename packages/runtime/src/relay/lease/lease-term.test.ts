import { once } from 'node:events';
import { expect, test } from 'vitest';
import { LeaseTerm } from './lease-term.ts';

const unit = { sink: '*', shard: 0 };

function term(validMs = 60_000) {
  const at = { now: 1_000, lost: 0 };
  const lease = new LeaseTerm({
    ...{ unit, epoch: 1n, sentAt: 1_000, validMs, clock: () => at.now },
    onLost: () => {
      at.lost += 1;
    },
  });
  return { at, lease };
}

test('it is valid until so long after the renewal was sent, and whoever asks then ends it', () => {
  const { at, lease } = term();
  at.now = 60_999;
  expect(lease.valid()).toBe(true);
  lease.renewed(30_000);
  at.now = 89_999;
  expect(lease.valid()).toBe(true);
  at.now = 90_000;
  expect(lease.signal.aborted).toBe(false);
  // Before any timer has had its turn: as after SIGCONT.
  expect(lease.valid()).toBe(false);
  expect(lease.signal.aborted).toBe(true);
  expect(lease.lost.aborted).toBe(true);
  expect(at.lost).toBe(1);
});

test('an answer that comes too late does not bring it back, nor does one out of order shorten it', () => {
  const { at, lease } = term();
  lease.renewed(20_000);
  lease.renewed(10_000);
  at.now = 79_999;
  expect(lease.valid()).toBe(true);
  at.now = 80_000;
  lease.renewed(79_000);
  expect(lease.valid()).toBe(false);
  at.now = 79_500;
  expect(lease.valid()).toBe(false);
});

test('asked to yield, it is valid and can be renewed until it is closed; closing is no loss', () => {
  const { at, lease } = term();
  lease.yield();
  expect(lease.signal.aborted).toBe(true);
  lease.renewed(50_000);
  at.now = 100_000;
  expect(lease.valid()).toBe(true);
  expect(lease.lost.aborted).toBe(false);
  lease.close();
  expect(lease.valid()).toBe(false);
  lease.lose();
  expect(at.lost).toBe(0);
  expect(lease.lost.aborted).toBe(false);
});

test('it ends by itself, though nobody asks', async () => {
  const lost = Promise.withResolvers<void>();
  const lease = new LeaseTerm({
    ...{ unit, epoch: 1n, sentAt: performance.now(), validMs: 20, clock: () => performance.now() },
    onLost: () => lost.resolve(),
  });
  await Promise.all([once(lease.signal, 'abort'), lost.promise]);
  expect(lease.valid()).toBe(false);
});
