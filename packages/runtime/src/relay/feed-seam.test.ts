import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { LoggedEvent } from '../log/outbox-event.ts';
import { Snapshot } from '../log/snapshot.ts';
import type { Moment, TablePage, TableReader } from '../log/table-reader.ts';
import type { DeliveryResult, Sink, SinkBatch } from '../sinks/sink.ts';
import { silentLogger } from '../telemetry/logger.ts';
import {
  fromNothing,
  fromTable,
  loggedEvent,
  SimulatedLog,
  SimulatedReader,
  seqs,
} from './event-fixture.suite.ts';
import { Feed, type FeedOptions } from './feed.ts';
import { bytesOf } from './in-hand.ts';
import { Window } from './window.ts';

/** The outbox of a simulated log. */
class SimulatedTable
  implements Pick<TableReader, 'batchEnd' | 'moment' | 'isFlushed' | 'ensureFlushed' | 'read' | 'readAdopted'>
{
  readonly #log: SimulatedLog;

  constructor(log: SimulatedLog) {
    this.#log = log;
  }

  async moment(): Promise<Moment> {
    return { ...this.#log.pair(), flushed: true, latest: true, at: 0 };
  }

  async batchEnd(): Promise<Moment> {
    return await this.moment();
  }

  async isFlushed(): Promise<boolean> {
    return true;
  }

  async ensureFlushed(): Promise<void> {}

  async *read({
    from,
    to,
    afterSeq,
  }: Parameters<TableReader['read']>[0]): AsyncGenerator<TablePage, void, undefined> {
    const events = this.#log.events
      .filter(({ txId, event }) => to.sees(txId) && !from.sees(txId) && event.seq > afterSeq)
      .map((logged) => fromTable(logged))
      .toSorted((a, b) => (a.event.seq < b.event.seq ? -1 : 1));
    const last = events.at(-1);
    if (last !== undefined) yield { events, lastSeq: last.event.seq };
  }

  async *readAdopted(): AsyncGenerator<TablePage, void, undefined> {}
}

class Bench {
  readonly log = new SimulatedLog();
  readonly reader = new SimulatedReader(this.log);
  readonly window = new Window(1_000 * bytesOf(loggedEvent(1)));
  readonly handed: number[] = [];
  readonly stored: string[] = [];
  readonly feed: Feed;
  /** Called for each event before it counts. */
  onHanded: (logged: LoggedEvent) => void = () => undefined;
  readonly #stopping = new AbortController();

  /** @param of `wal`: false: there is none to be read */
  constructor(
    more: Partial<FeedOptions> = {},
    of: { readonly wal?: boolean; readonly table?: (log: SimulatedLog) => SimulatedTable } = {},
  ) {
    if (of.wal !== false) this.window.start(undefined);
    const sink: Sink = {
      name: 'billing',
      features: { order: true, dedupe: false, ownCheckpoint: false },
      deliver: async ({ events }: SinkBatch): Promise<DeliveryResult[]> => {
        for (const logged of events) this.onHanded(logged);
        this.handed.push(...seqs(events));
        return events.map(() => ({ type: 'delivered' }));
      },
      [Symbol.asyncDispose]: async () => undefined,
    };
    const pool = {
      query: async (_text: string, values: readonly unknown[]) => {
        this.stored.push(String(values[5]));
        return { rows: [{ paused: false }] };
      },
    };
    this.feed = new Feed({
      sink,
      window: this.window,
      pool: pool as unknown as FeedOptions['pool'],
      reader: (of.table?.(this.log) ?? new SimulatedTable(this.log)) as unknown as TableReader,
      stored: { checkpoint: fromNothing, paused: false },
      owner: { relay: 'relay', shard: 0, epoch: 1n, systemIdentifier: '7300000000000000001', timeline: 1 },
      resume: false,
      logger: silentLogger,
      valid: () => true,
      onRejected: async () => undefined,
      checkpointMs: 1,
      pollMs: 1,
      limit: { events: 1_000, bytes: 1_000_000 },
      inHandBytes: 1_000_000,
      ...more,
    });
  }

  /** What has come in the WAL is pushed into the window. */
  push(): void {
    this.window.push(this.reader.read(1_000), this.reader.readTo);
    this.feed.wake();
  }

  tick(): number {
    const pair = this.log.pair();
    this.feed.offer(pair);
    return this.window.settle(pair.snapshot).length;
  }

  async running(work: () => Promise<void>): Promise<void> {
    const { signal } = this.#stopping;
    const run = this.feed.run({ stopping: signal, aborted: signal });
    try {
      await Promise.race([work(), run]);
    } finally {
      this.#stopping.abort();
      await run;
    }
  }
}

/** Of its batches nothing is durable before it was made so; a batch has one page for each event. */
class LateTable extends SimulatedTable {
  /** Where the durable log ends. */
  flushedTo = 0n;
  /** What came from another cluster. */
  readonly adopted: LoggedEvent[] = [];

  override async moment(): Promise<Moment> {
    return { ...(await super.moment()), flushed: false };
  }

  override async isFlushed({ lsn }: Pick<Moment, 'lsn'>): Promise<boolean> {
    return this.flushedTo >= lsn;
  }

  override async ensureFlushed({ lsn }: Pick<Moment, 'lsn'>): Promise<void> {
    // Not at once: nothing may be handed over meanwhile.
    await nextTurn();
    this.flushedTo = lsn;
  }

  override async *read(
    batch: Parameters<TableReader['read']>[0],
  ): AsyncGenerator<TablePage, void, undefined> {
    for await (const { events } of super.read(batch)) yield* pagesOfOne(events);
  }

  override async *readAdopted(): AsyncGenerator<TablePage, void, undefined> {
    yield* pagesOfOne(this.adopted);
  }
}

function* pagesOfOne(events: readonly LoggedEvent[]): Generator<TablePage, void, undefined> {
  for (const logged of events) yield { events: [logged], lastSeq: logged.event.seq };
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 2_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not within 2 s: ${holds.toString()}`);
    await nextTurn();
  }
}

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
