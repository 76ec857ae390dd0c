import type { Pool } from 'pg';
import { expect, test } from 'vitest';
import type { SlotReader } from '../../replication/slot-reader.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { SlotDispute } from './slot-dispute.ts';

const minute = 60_000;

/** A server that ends whom it is told to, and a clock that is moved by hand. */
function dispute(): {
  readonly meet: (pid: number, applicationName?: string) => Promise<boolean>;
  readonly pass: (milliseconds: number) => void;
  readonly said: (event: string) => ReadonlyArray<Record<string, unknown>>;
} {
  const lines: Array<Record<string, unknown>> = [];
  let now = 1_000_000;
  const endings: string[] = [];
  const pool = {
    query: async (text: string) => {
      endings.push(text);
      return { rows: [{ told: true }] };
    },
  } as unknown as Pool;
  const slotDispute = new SlotDispute({
    pool,
    slot: 'events',
    relay: 'mine',
    clock: () => now,
    logger: createLogger({
      destination: { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
    }),
  });
  return {
    meet: async (pid, applicationName = 'debezium') => {
      const reader: SlotReader = { pid, applicationName, clientAddress: null, since: null };
      await slotDispute.meet(reader);
      return endings.splice(0).some((text) => text.includes(`a.pid = ${pid}`));
    },
    pass: (milliseconds) => {
      now += milliseconds;
    },
    said: (event) => lines.filter((line) => line['event'] === event),
  };
}

test('three strangers are ended, then one after each pause, which doubles up to an hour', async () => {
  const { meet, pass, said } = dispute();
  expect([await meet(1), await meet(2), await meet(3)]).toEqual([true, true, true]);
  const pauses = [1, 2, 4, 8, 16, 32, 60, 60];
  for (const [at, minutes] of pauses.entries()) {
    const pid = 10 + at;
    expect(await meet(pid)).toBe(false);
    expect(said('relay.slot.contested')).toHaveLength(at + 1);
    expect(said('relay.slot.contested').at(-1)).toMatchObject({
      level: 'error',
      pid,
      applicationName: 'debezium',
      pauseMs: minutes * minute,
      error: { code: 'ER1201' },
    });
    pass(minutes * minute - 1);
    expect(await meet(pid)).toBe(false);
    pass(1);
    expect(await meet(pid)).toBe(true);
  }
  expect(said('relay.slot.reader.ended')).toHaveLength(3 + pauses.length);
});

test('one that takes a moment to go is told again, and counts once', async () => {
  const { meet, said } = dispute();
  for (let times = 0; times < 10; times += 1) expect(await meet(1)).toBe(true);
  expect([await meet(2), await meet(3), await meet(4)]).toEqual([true, true, false]);
  expect(said('relay.slot.reader.ended').map(({ pid, level }) => [pid, level])).toEqual([
    [1, 'warn'],
    [2, 'warn'],
    [3, 'warn'],
  ]);
});

test('after ten minutes of peace all is forgotten', async () => {
  const { meet, pass } = dispute();
  expect([await meet(1), await meet(2), await meet(3), await meet(4)]).toEqual([true, true, true, false]);
  pass(10 * minute + 1);
  expect([await meet(5), await meet(6), await meet(7), await meet(8)]).toEqual([true, true, true, false]);
});

test('stale connections of the relay itself are ended as often as it takes, and are no dispute', async () => {
  const { meet, said } = dispute();
  for (let pid = 1; pid <= 20; pid += 1) expect(await meet(pid, 'event-runtime relay mine')).toBe(true);
  expect(new Set(said('relay.slot.reader.ended').map(({ level }) => level))).toEqual(new Set(['info']));
  expect(said('relay.slot.contested')).toEqual([]);
  // Another relay is a stranger.
  const others = [];
  for (let pid = 31; pid <= 34; pid += 1) others.push(await meet(pid, 'event-runtime relay other'));
  expect(others).toEqual([true, true, true, false]);
});
