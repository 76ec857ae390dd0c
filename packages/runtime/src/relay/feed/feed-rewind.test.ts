import { expect, test } from 'vitest';
import type { Moment } from '../../log/table-reader.ts';
import { loggedEvent, type SimulatedLog } from './event-fixture.suite.ts';
import type { FeedOptions } from './feed.ts';
import { Bench, SimulatedTable, until } from './feed-bench.suite.ts';

/** A checkpoint from which everything is read. */
const beginning = {
  ...{ sink: 'billing', system_identifier: 'x', mode: 'table', lsn: '0/0', ordinal: -1, snapshot: '3:3:' },
  ...{ batch_snapshot: null, batch_seq: null, floor_seq: '0', paused: false },
  ...{ adopting_snapshot: null, adopting_since: null },
};

/** There is something to be read whenever it is looked. */
class BusyTable extends SimulatedTable {
  onLook: () => void = () => undefined;

  override async batchEnd(): Promise<Moment> {
    this.onLook();
    return await super.batchEnd();
  }
}

test('asked for while a checkpoint is written right before the sink joins the WAL: it goes back all the same', async () => {
  const asked = { rewind: false };
  const made: { table?: BusyTable; bench?: Bench } = {};
  const pool = {
    query: async (text: string, values: readonly unknown[]) => {
      if (text.includes('rewind_snapshot = null')) return { rows: [beginning] };
      const betweenBatches = values[5] === 'table' && values[9] === null;
      if (!asked.rewind && (made.table?.looks ?? 0) >= 2 && betweenBatches) {
        asked.rewind = true;
        made.bench?.feed.rewind();
      }
      return { rows: [{ paused: false }] };
    },
  };
  const table = (log: SimulatedLog): BusyTable => (made.table = new BusyTable(log));
  const bench = new Bench({ pool: pool as unknown as FeedOptions['pool'], checkpointMs: 0 }, { table });
  made.bench = bench;
  const write = (events: number): void => {
    bench.log.begin(events);
    bench.log.finish();
    bench.push();
  };
  if (made.table !== undefined) {
    made.table.onLook = () => {
      if (made.table?.looks === 1) write(1);
    };
  }
  write(3);
  await bench.running(async () => {
    await until(() => asked.rewind && bench.handed.filter((seq) => seq === 1).length === 2);
    write(1);
    await until(() => bench.handed.at(-1) === 5);
    await until(() => bench.feed.mode === 'live');
    await until(() => bench.tick() >= 0 && !bench.window.unsettled);
  });
  expect(bench.handed).toEqual([1, 2, 3, 4, 1, 2, 3, 4, 5]);
});

test('what is handed over aside can be taken back until it is on its way', async () => {
  const bench = new Bench();
  const over = new AbortController();
  const early = bench.feed.handAside([loggedEvent(100)], over.signal);
  over.abort();
  expect(await early).toBeUndefined();
  await bench.running(async () => {
    expect(await bench.feed.handAside([loggedEvent(101)], over.signal)).toBeUndefined();
    const [result] = (await bench.feed.handAside([loggedEvent(102)])) ?? [];
    expect(result).toEqual({ type: 'delivered' });
  });
  expect(bench.handed).toEqual([102]);
});

test('what waits to be handed over aside waits for a rewind, too: nobody is told that the feed has ended', async () => {
  const made: { table?: BusyTable } = {};
  const query = async (text: string) => ({
    rows: [text.includes('rewind_snapshot = null') ? beginning : { paused: false }],
  });
  const table = (log: SimulatedLog): BusyTable => (made.table = new BusyTable(log));
  const bench = new Bench({ pool: { query } as unknown as FeedOptions['pool'] }, { wal: false, table });
  bench.log.begin(3);
  bench.log.finish();
  await bench.running(async () => {
    await until(() => bench.handed.length === 3);
    const aside = new Promise((resolve) => {
      (made.table as BusyTable).onLook = () => {
        (made.table as BusyTable).onLook = () => undefined;
        resolve(bench.feed.handAside([loggedEvent(100)]));
        bench.feed.rewind();
      };
    });
    expect(await aside).toEqual([{ type: 'delivered' }]);
    await until(() => bench.handed.filter((seq) => seq === 1).length === 2);
  });
});
