import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Checkpoint } from '../../log/checkpoint.ts';
import { comparePositions, type LoggedEvent, type Position } from '../../log/outbox-event.ts';
import type { DeliveryResult } from '../../sinks/sink.ts';
import { fromNothing, fromTable, SimulatedLog, SimulatedReader, seqs } from './event-fixture.suite.ts';
import { type Pair, Progress } from './progress.ts';

const done: DeliveryResult = { type: 'delivered' };
const later: DeliveryResult = { type: 'retry', afterMs: 0, error: new Error('later') };

function without(all: ReadonlySet<number>, some: Iterable<number>): Set<number> {
  const left = new Set(all);
  for (const each of some) left.delete(each);
  return left;
}

/** What it is that a checkpoint says. */
function claimed(checkpoint: Checkpoint, log: SimulatedLog): Set<number> {
  const { snapshot, batch, mode, position } = checkpoint;
  const said = log.events.filter((logged) => {
    if (snapshot.sees(logged.txId)) return true;
    if (batch?.to.sees(logged.txId) === true && logged.event.seq <= batch.afterSeq) return true;
    return mode === 'live' && comparePositions(logged.position as Position, position) <= 0;
  });
  return new Set(seqs(said));
}

/** How often each step is taken. */
const weights = {
  begin: 2,
  write: 2,
  show: 2,
  page: 2,
  join: 3,
  read: 4,
  take: 4,
  give: 4,
  advance: 5,
  tick: 4,
  leave: 2,
  store: 2,
  restart: 1,
} as const;

type Step = keyof typeof weights;

const steps = fc.constantFrom(
  ...(Object.keys(weights) as Step[]).flatMap((step) => Array.from({ length: weights[step] }, () => step)),
);

export const plays: fc.Arbitrary<readonly WayStep[]> = fc.array(
  fc.record({ op: steps, n: fc.nat(5), fails: fc.array(fc.boolean(), { maxLength: 4 }) }),
  { minLength: 20, maxLength: 120 },
);

/** One step: how much, and what fails of a batch. */
export interface WayStep {
  readonly op: Step;
  readonly n: number;
  readonly fails: readonly boolean[];
}

/** One sink's way through a simulated log, as the phases of a feed drive it; the books are kept beside it. */
export class Way {
  readonly #log = new SimulatedLog();
  readonly #reader = new SimulatedReader(this.#log);
  #progress = new Progress(fromNothing);
  /** Everything that was offered to the present progress, in order; and what was delivered before that. */
  #offered: number[] = [];
  #before = new Set<number>();
  /** The table: the batch's end, and how far it was read. */
  #from = fromNothing;
  #to: Pair | undefined;
  /** The window: all that was read. */
  readonly #window: LoggedEvent[] = [];
  #taken: number | undefined;
  #skip: (logged: LoggedEvent) => boolean = () => false;
  /** Delivered in the WAL before the sink left: not to be read again. */
  #delivered: ReadonlyMap<bigint, bigint> = new Map();
  #stored: Checkpoint = fromNothing;
  /** Whether the present life in the WAL knows all that was delivered beyond its snapshot. */
  #exact = true;
  #liveFrom = 0;

  do(op: Step, n: number, fails: readonly boolean[]): number[] {
    const work: Record<Step, () => unknown> = {
      begin: () => this.#log.begin(n),
      write: () => this.#log.write(n),
      show: () => this.#log.show(n),
      page: () => this.#page(n + 1),
      join: () => this.#join(),
      read: () => this.#window.push(...this.#reader.read(3 * n + 1).events),
      take: () => this.#take(n + 1),
      give: () => this.#give(n + 1, fails),
      advance: () => this.#advance(),
      tick: () => this.#progress.offer(this.#log.pair()),
      leave: () => this.#leave(),
      store: () => (this.#stored = this.#progress.checkpoint),
      restart: () => this.#restart(),
    };
    work[op]();
    return this.#untrue();
  }

  /** 1 and 2: what is claimed and not delivered, now, and for every batch that might be on its way. */
  #untrue(): number[] {
    const { inHand } = this.#progress;
    const untrue: number[] = [];
    for (let at = inHand.passed; at <= inHand.offered; at += 1) {
      const has = new Set([...this.#before, ...this.#offered.slice(0, at)]);
      untrue.push(...without(claimed(this.#progress.at(at), this.#log), has));
    }
    assert.deepEqual(
      claimed(this.#progress.checkpoint, this.#log),
      claimed(this.#progress.at(inHand.passed), this.#log),
    );
    return untrue;
  }

  #page(most: number): void {
    if (this.#taken !== undefined) return;
    this.#to ??= this.#log.pair();
    const { snapshot, batch } = this.#from;
    const { snapshot: to } = this.#to;
    const rows = this.#log.events
      .filter(
        ({ txId, event }) => to.sees(txId) && !snapshot.sees(txId) && event.seq > (batch?.afterSeq ?? 0n),
      )
      .toSorted((a, b) => (a.event.seq < b.event.seq ? -1 : 1));
    const page = rows.slice(0, most);
    for (const row of page) {
      const upTo = this.#delivered.get(row.txId);
      if (upTo === undefined || row.event.seq > upTo) this.#offer(fromTable(row), -1);
    }
    const last = page.at(-1)?.event.seq;
    if (last !== undefined) this.#from = { ...this.#from, batch: { to, afterSeq: last } };
    if (rows.length > page.length) return this.#progress.mark(this.#from);
    this.#from = { ...this.#from, snapshot: to, batch: null };
    this.#progress.mark(this.#from);
    this.#to = undefined;
  }

  /** Like a feed: at the end of a batch, with the snapshot and the LSN of that end. */
  #join(): void {
    if (this.#taken !== undefined || this.#to !== undefined) return;
    this.#to = this.#log.pair();
    const pair = this.#to;
    while (this.#to !== undefined) this.#page(100);
    this.#taken = 0;
    // What was delivered in an earlier life in the WAL and is still not visible is told by the books.
    const before = this.#delivered;
    this.#skip = ({ txId, event }) => pair.snapshot.sees(txId) || event.seq <= (before.get(txId) ?? 0n);
    this.#liveFrom = this.#progress.inHand.offered;
    this.#progress.goLive(pair);
  }

  #take(most: number): void {
    for (let count = 0; this.#taken !== undefined && count < most; count += 1) {
      const logged = this.#window[this.#taken];
      if (logged === undefined) return;
      if (!this.#skip(logged)) this.#offer(logged, this.#taken);
      this.#taken += 1;
    }
  }

  #offer(logged: LoggedEvent, place: number): void {
    const seq = Number(logged.event.seq);
    // Nothing is repeated.
    assert.ok(!this.#before.has(seq) && !this.#offered.includes(seq), `${seq} is repeated`);
    this.#progress.inHand.offer(logged, place);
    this.#offered.push(seq);
  }

  #give(most: number, fails: readonly boolean[]): void {
    const { inHand } = this.#progress;
    // A minute later than what is settled below: however often it was turned away, it is due.
    const batch = inHand.next(60_000, { events: most, bytes: 1_000_000 });
    inHand.settle(
      batch,
      batch.map((_entry, index) => (fails[index] ? later : done)),
      0,
    );
  }

  /** As the live phase does it. */
  #advance(): void {
    if (this.#taken === undefined) return;
    const { firstOpen } = this.#progress.inHand;
    if (firstOpen === undefined) {
      const next = this.#window[this.#taken]?.position ?? undefined;
      const { readTo } = this.#reader;
      this.#progress.cover(next?.lsn ?? readTo, next ?? { lsn: readTo, ordinal: 0 });
    } else if (firstOpen.logged.position !== null) {
      this.#progress.cover(firstOpen.logged.position.lsn, null);
    }
  }

  /** Nothing is lost: what the table will give is at least what was not delivered. */
  #leave(): void {
    if (this.#taken === undefined) return;
    const { asTable, delivered, inHand } = this.#progress;
    const has = new Set([...this.#before, ...this.#offered.slice(0, inHand.passed)]);
    const again = this.#log.events.filter(({ txId, event }) => {
      if (event.seq <= (delivered.get(txId) ?? 0n)) return false;
      const read = asTable.batch?.to.sees(txId) === true && event.seq <= asTable.batch.afterSeq;
      return !asTable.snapshot.sees(txId) && !read;
    });
    const all = new Set(seqs(this.#log.events));
    assert.deepEqual([...without(without(all, has), seqs(again))], [], 'lost');
    // And repeated is nothing, but a page of the table that was not finished, and what an earlier life had.
    if (this.#exact && inHand.passed >= this.#liveFrom) {
      assert.deepEqual(new Set(seqs(again)), without(all, has));
    }
    this.#begin(asTable, without(all, seqs(again)));
    this.#delivered = delivered;
    this.#taken = undefined;
    this.#exact = delivered.size === 0;
    this.#to = asTable.batch === null ? undefined : { ...this.#log.pair(), snapshot: asTable.batch.to };
  }

  /** The process ends, and goes on at the checkpoint that was stored last. */
  #restart(): void {
    const stored = this.#stored;
    if (stored.mode === 'table') return;
    // What was delivered beyond the position is forgotten, and comes again.
    this.#begin(stored, claimed(stored, this.#log));
    this.#taken = 0;
    this.#skip = (logged) => comparePositions(logged.position as Position, stored.position) <= 0;
    this.#exact = false;
    this.#to = undefined;
    this.#liveFrom = 0;
  }

  #begin(from: Checkpoint, before: Set<number>): void {
    this.#before = before;
    this.#progress = new Progress(from);
    this.#offered = [];
    this.#from = from;
  }
}
