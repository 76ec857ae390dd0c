import { expect, test } from 'vitest';
import { Snapshot } from '../../log/snapshot.ts';
import { fromNothing, fromTable } from './event-fixture.suite.ts';
import type { FeedOptions } from './feed.ts';
import { Bench, LateTable, until } from './feed-bench.suite.ts';

test('a sink that left the WAL and joins it again has no event twice, though it is not visible yet', async () => {
  const bench = new Bench();
  await bench.running(async () => {
    await until(() => bench.feed.mode === 'live');
    bench.log.begin(2);
    bench.log.write(0);
    bench.push();
    await until(() => bench.handed.length === 2);
    // In the WAL and delivered; the commit waits for a standby, and no snapshot sees it.
    bench.feed.leave('paused');
    await until(() => bench.feed.mode === 'live');
    bench.log.show(0);
    bench.log.begin(1);
    bench.log.write(0);
    bench.push();
    await until(() => bench.handed.includes(3));
  });
  expect(bench.handed).toEqual([1, 2, 3]);
});

test('a sink that joins with nothing to deliver does not keep the server from forgetting', async () => {
  const bench = new Bench();
  bench.log.begin(1);
  bench.log.finish();
  // Another sink had it, and it has left the window; the server was not told yet.
  bench.push();
  bench.window.trim();
  await bench.running(async () => {
    // It has all of it from the table, and that is stored.
    await until(() => bench.feed.mode === 'live');
    await until(() => bench.tick() > 0);
  });
  expect(bench.handed).toEqual([1]);
  expect(bench.window.unsettled).toBe(false);
});

test('nor one that had everything before', async () => {
  const snapshot = Snapshot.parse('701:701:');
  const bench = new Bench({ stored: { checkpoint: { ...fromNothing, snapshot }, paused: false } });
  bench.log.begin(1);
  bench.log.finish();
  bench.push();
  bench.window.trim();
  await bench.running(async () => {
    await until(() => bench.feed.mode === 'live');
    await until(() => bench.tick() > 0);
  });
  expect(bench.handed).toEqual([]);
});

/** A sink that polls, and of what it was handed over what was not durable then. */
function polling(more: Partial<FeedOptions> = {}): {
  readonly bench: Bench;
  readonly table: LateTable;
  readonly early: number[];
} {
  const early: number[] = [];
  let table: LateTable | undefined;
  const bench = new Bench(more, { wal: false, table: (log) => (table = new LateTable(log)) });
  bench.onHanded = ({ event }) => {
    const end = bench.log.wal.find(({ seqs: of }) => of.includes(Number(event.seq)))?.endLsn ?? 0n;
    if ((table?.flushedTo ?? 0n) < end) early.push(Number(event.seq));
  };
  return { bench, table: table as LateTable, early };
}

test('nothing is handed over before the log is durable up to the end of its batch, batch after batch', async () => {
  const { bench, early } = polling();
  await bench.running(async () => {
    for (let batches = 1; batches <= 3; batches += 1) {
      bench.log.begin(2);
      bench.log.finish();
      await until(() => bench.handed.length === 2 * batches);
    }
  });
  expect(bench.handed).toEqual([1, 2, 3, 4, 5, 6]);
  expect(early).toEqual([]);
});

test('nor when a batch goes on that was interrupted', async () => {
  const batch = { to: Snapshot.parse('701:701:'), afterSeq: 1n };
  const { bench, early } = polling({ stored: { checkpoint: { ...fromNothing, batch }, paused: false } });
  bench.log.begin(3);
  bench.log.finish();
  await bench.running(async () => await until(() => bench.handed.length === 2));
  expect(bench.handed).toEqual([2, 3]);
  expect(early).toEqual([]);
});

test('nor what came with a dump: the whole of it must be durable', async () => {
  const adoption = { snapshot: Snapshot.nothing, since: '-infinity', afterSeq: 0n };
  const snapshot = Snapshot.parse('701:701:');
  const checkpoint = { ...fromNothing, snapshot, floorSeq: 3n, adoption };
  const { bench, table, early } = polling({ stored: { checkpoint, paused: false } });
  bench.log.begin(3);
  bench.log.finish();
  table.adopted.push(...bench.log.events.map((logged) => fromTable(logged)));
  await bench.running(async () => await until(() => bench.handed.length === 3));
  expect(bench.handed).toEqual([1, 2, 3]);
  expect(early).toEqual([]);
});

test('what cannot be made durable is not handed over', async () => {
  const { bench, table } = polling();
  table.ensureFlushed = async () => {
    throw new Error('the log ends before');
  };
  bench.log.begin(1);
  bench.log.finish();
  const handed = bench.running(async () => await until(() => bench.handed.length > 0));
  await expect(handed).rejects.toThrow('the log ends before');
  expect(bench.handed).toEqual([]);
});
