import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import { Snapshot } from '../../log/snapshot.ts';
import type { Moment, TablePage, TableReader } from '../../log/table-reader.ts';
import type { DeliveryResult, Sink, SinkBatch } from '../../sinks/sink.ts';
import { silentLogger } from '../../telemetry/logger.ts';
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
export class SimulatedTable
  implements Pick<TableReader, 'batchEnd' | 'moment' | 'isFlushed' | 'ensureFlushed' | 'read' | 'readAdopted'>
{
  /** How often it was asked where a batch may end. */
  looks = 0;
  readonly #log: SimulatedLog;

  constructor(log: SimulatedLog) {
    this.#log = log;
  }

  async moment(): Promise<Moment> {
    return { ...this.#log.pair(), flushed: true, latest: true, at: 0 };
  }

  async batchEnd(): Promise<Moment> {
    this.looks += 1;
    return await this.moment();
  }

  async isFlushed(_moment: Pick<Moment, 'lsn'>): Promise<boolean> {
    return true;
  }

  async ensureFlushed(_moment: Pick<Moment, 'lsn'>): Promise<void> {}

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

/** A feed on a simulated log. */
export class Bench {
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
    if (of.wal !== false) this.window.start(Snapshot.nothing);
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
export class LateTable extends SimulatedTable {
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

/** Resolves when it holds, by the turns of the loop: the clock may be one that stands still. */
export async function until(holds: () => boolean): Promise<void> {
  const deadline = process.hrtime.bigint() + 30_000_000_000n;
  while (!holds()) {
    if (process.hrtime.bigint() > deadline) throw new Error(`not within 30 s: ${holds.toString()}`);
    await nextTurn();
  }
}
