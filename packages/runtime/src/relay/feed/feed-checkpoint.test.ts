import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { runtimeError } from '../../errors/codes.ts';
import { deferred } from '../../internal/deferred.ts';
import type { TableReader } from '../../log/table-reader.ts';
import type { Sink } from '../../sinks/sink.ts';
import type { FeedOptions } from './feed.ts';
import { Bench, SimulatedTable, until } from './feed-bench.suite.ts';

const [checkpointMs, batchMs, batches] = [1_000, 50, 100];

let clock: number;
beforeEach(() => {
  clock = 10_000;
  vi.spyOn(performance, 'now').mockImplementation(() => clock);
});
afterEach(() => vi.restoreAllMocks());

interface Fed {
  readonly bench: Bench;
  /** Ends when the feed has had its turn, and found nothing to do. */
  readonly turn: () => Promise<void>;
}

function fromWal(): Fed {
  const bench = new Bench({ checkpointMs });
  const turn = async (): Promise<void> => {
    bench.push();
    bench.tick();
    for (let turns = 0; turns < 10; turns += 1) await nextTurn();
  };
  return { bench, turn };
}

function fromTable(): Fed {
  let table: SimulatedTable | undefined;
  const of = { wal: false, table: (log: Bench['log']) => (table = new SimulatedTable(log)) };
  const bench = new Bench({ checkpointMs }, of);
  const turn = async (): Promise<void> => {
    const { looks } = table as SimulatedTable;
    // The one that was under way may have begun before.
    await until(() => (table as SimulatedTable).looks >= looks + 2);
  };
  return { bench, turn };
}

describe.each([
  ['WAL', fromWal],
  ['table', fromTable],
])('from the %s', (_from, feed) => {
  test('a steady stream writes its checkpoint once a second, not with each batch; then nothing is written', async () => {
    const { bench, turn } = feed();
    await bench.running(async () => {
      for (let batch = 1; batch <= batches; batch += 1) {
        bench.log.begin(1);
        bench.log.finish();
        await turn();
        await until(() => bench.handed.length === batch);
        clock += batchMs;
      }
      const seconds = (batches * batchMs) / checkpointMs;
      expect(bench.stored.length).toBeGreaterThanOrEqual(seconds - 1);
      expect(bench.stored.length).toBeLessThanOrEqual(seconds + 1);
      // What is still to be stored, and to be seen by a snapshot, is stored.
      for (let settling = 0; settling < 3; settling += 1) {
        clock += checkpointMs;
        await turn();
      }
      const { length } = bench.stored;
      for (let idle = 0; idle < 20; idle += 1) {
        clock += checkpointMs;
        // Others write, but no event.
        bench.log.begin(0);
        bench.log.finish();
        await turn();
      }
      expect(bench.stored).toHaveLength(length);
    });
  });
});

/** Where checkpoints are written, in the time that the test gives it. */
function slowPool(write: () => Promise<void>): FeedOptions['pool'] {
  const query = async () => {
    await write();
    return { rows: [{ paused: false }] };
  };
  return { query } as unknown as FeedOptions['pool'];
}

/** Another transaction is there and seen, and the feed has had its turns. */
async function committed(bench: Bench): Promise<void> {
  bench.log.begin(1);
  bench.log.finish();
  bench.push();
  bench.tick();
  for (let turns = 0; turns < 50; turns += 1) await nextTurn();
}

describe('while a checkpoint is written', () => {
  test('what comes is handed over, until the next one is due: it waits for this one', async () => {
    const written = deferred();
    let writes = 0;
    const pool = slowPool(async () => {
      writes += 1;
      if (writes === 1) await written.promise;
    });
    const bench = new Bench({ checkpointMs, pool });
    const commit = async (): Promise<void> => await committed(bench);
    await bench.running(async () => {
      await commit();
      await until(() => writes === 1);
      for (let batch = 2; batch <= 10; batch += 1) {
        await commit();
        expect(bench.handed).toHaveLength(batch);
        clock += checkpointMs / 10;
      }
      clock += checkpointMs / 10;
      // Seen only once it is handed over that the next checkpoint is due.
      await commit();
      expect(bench.handed).toHaveLength(11);
      await commit();
      expect(bench.handed).toHaveLength(11);
      expect(writes).toBe(1);
      written.resolve();
      await until(() => bench.handed.length === 12);
      clock += checkpointMs;
      await commit();
      await until(() => writes > 1);
    });
  });

  test('and it is turned away: the feed ends, with nothing handed over after it was told', async () => {
    const answered = deferred();
    const pool = slowPool(async () => {
      await answered.promise;
      throw runtimeError('ER1207');
    });
    const bench = new Bench({ checkpointMs, pool });
    const commit = async (): Promise<void> => {
      await committed(bench);
      clock += checkpointMs;
    };
    const running = bench.running(async () => {
      for (let batch = 1; batch <= 3; batch += 1) await commit();
      answered.resolve();
      for (let turns = 0; turns < 10; turns += 1) await nextTurn();
      const { length } = bench.handed;
      for (let batch = 1; batch <= 3; batch += 1) await commit();
      expect(bench.handed).toHaveLength(length);
    });
    await expect(running).rejects.toMatchObject({ code: 'ER1207' });
  });

  test('a sink that stores it with its own work is given nothing: what is written would take that back', async () => {
    const written = deferred();
    let [slow, writes] = [false, 0];
    const pool = slowPool(async () => {
      if (!slow) return;
      writes += 1;
      await written.promise;
    });
    const handed: number[] = [];
    const sink: Sink = {
      name: 'own',
      features: { order: true, dedupe: true, ownCheckpoint: true },
      deliver: async ({ events }) => {
        for (const { event } of events) handed.push(Number(event.seq));
        return events.map(() => ({ type: 'delivered' }));
      },
      [Symbol.asyncDispose]: async () => undefined,
    };
    const bench = new Bench({ checkpointMs, pool, sink });
    const commit = async (): Promise<void> => {
      bench.log.begin(1);
      bench.log.finish();
      bench.push();
      for (let turns = 0; turns < 10; turns += 1) await nextTurn();
    };
    await bench.running(async () => {
      await until(() => bench.feed.mode === 'live');
      await commit();
      expect(handed).toEqual([1]);
      // A later snapshot is known, which the sink has not stored.
      slow = true;
      clock += checkpointMs;
      bench.tick();
      await until(() => writes === 1);
      await commit();
      expect(handed).toEqual([1]);
      written.resolve();
      await until(() => handed.length === 2);
    });
  });
});

/** A look at the table that goes on until the relay stops, once it is told to. */
class LongLook extends SimulatedTable {
  long = false;

  override async batchEnd(
    ...[, options]: Partial<Parameters<TableReader['batchEnd']>>
  ): ReturnType<SimulatedTable['batchEnd']> {
    const signal = options?.signal;
    if (!this.long || signal === undefined) return await super.batchEnd();
    await new Promise((resolve) => {
      signal.addEventListener('abort', resolve, { once: true });
    });
    throw signal.reason as Error;
  }
}

test('stopped in the middle of a look at the table: what is delivered is stored', async () => {
  let table: LongLook | undefined;
  const of = { wal: false, table: (log: Bench['log']) => (table = new LongLook(log)) };
  const snapshots: unknown[] = [];
  const query = async (_text: string, values: readonly unknown[]) => {
    snapshots.push(values[8]);
    return { rows: [{ paused: false }] };
  };
  const bench = new Bench({ checkpointMs, pool: { query } as unknown as FeedOptions['pool'] }, of);
  await bench.running(async () => {
    await until(() => (table as LongLook).looks > 2);
    bench.log.begin(1);
    bench.log.finish();
    await until(() => bench.handed.length === 1);
    (table as LongLook).long = true;
    for (let turns = 0; turns < 10; turns += 1) await nextTurn();
  });
  expect(snapshots.at(-1)).toBe(bench.feed.checkpoint.snapshot.toString());
});
