import type { Checkpoint } from '../../log/checkpoint.ts';
import { comparePositions, type Position } from '../../log/outbox-event.ts';
import type { Snapshot } from '../../log/snapshot.ts';
import { type Lsn, zeroLsn } from '../../replication/lsn.ts';
import { type Entry, InHand } from './in-hand.ts';

/** A snapshot, and a place in the log behind every transaction that it sees. */
export interface Pair {
  readonly snapshot: Snapshot;
  readonly lsn: Lsn;
}

/** A live transaction of which something is delivered, and which the pair does not see. */
interface Recent {
  readonly txId: bigint;
  readonly lsn: Lsn;
  /** The last event of it that is delivered; within a transaction the WAL is in the order of `seq`. */
  lastSeq: bigint;
}

/**
 * From "so many of the events are delivered" to the checkpoint that says so, while a sink reads the table, the WAL,
 * or first the one and then the other.
 *
 * In the table a checkpoint is known at the end of each page ({@link mark}). In the WAL it is known after each event,
 * and its snapshot is that of the last {@link Pair} whose LSN has been passed.
 *
 * Invariants (progress.test.ts):
 * 1. `at(n).snapshot` sees no transaction that has an event among those that are not delivered.
 * 2. `at(n).position` has no event before it that is not delivered.
 */
export class Progress {
  readonly inHand: InHand;
  /** The last table checkpoint that was passed. */
  #table: Checkpoint;
  readonly #marks: { readonly at: number; readonly checkpoint: Checkpoint }[] = [];
  /** How many events had been offered when the first one of the WAL was; undefined: none is. */
  #liveFrom: number | undefined;
  #pair: Pair | undefined;
  /** The pair of a checkpoint that was stored by another life: until a newer one is passed. */
  readonly #resumed: Pair | undefined;
  #waiting: Pair[] = [];
  #recent: Recent[] = [];
  #position: Position;

  /** @param behind see {@link InHand} */
  constructor(from: Checkpoint, behind?: () => ReadonlySet<string>) {
    this.#table = from;
    this.#position = from.position;
    this.inHand = new InHand((entry) => this.#passed(entry), behind);
    if (from.mode !== 'live') return;
    this.#liveFrom = 0;
    this.#pair = { snapshot: from.snapshot, lsn: from.position.lsn };
    this.#resumed = this.#pair;
  }

  /** What is true once everything that was offered so far is delivered. */
  mark(checkpoint: Checkpoint): void {
    const at = this.inHand.offered;
    if (this.#marks.at(-1)?.at === at) this.#marks.pop();
    this.#marks.push({ at, checkpoint });
    this.#pass();
  }

  /**
   * From now on what is offered comes from the WAL: everything that the pair's snapshot does not see.
   * @param before {@link delivered} of an earlier life in the WAL: it is not offered again
   */
  goLive(pair: Pair, before: ReadonlyMap<bigint, bigint> = new Map()): void {
    this.#liveFrom = this.inHand.offered;
    this.#recent = [...before]
      .filter(([txId]) => !pair.snapshot.sees(txId))
      .map(([txId, lastSeq]) => ({ txId, lsn: zeroLsn, lastSeq }));
    this.#waiting = [pair];
  }

  /** A later pair, to be taken into the checkpoint once its LSN is passed. */
  offer(pair: Pair): void {
    const last = this.#waiting.at(-1) ?? this.#pair;
    // One that was taken before the sink joined may come after: it says less than is known.
    if (last !== undefined && pair.snapshot.covers(last.snapshot)) this.#waiting.push(pair);
  }

  /**
   * Every transaction of the WAL whose commit is before `lsn` is delivered.
   * @param before and so is every event before this position; null: it is not known more exactly than by the last one
   */
  cover(lsn: Lsn, before: Position | null): void {
    if (this.#liveFrom === undefined || this.inHand.passed < this.#liveFrom) return;
    if (before !== null) {
      const position = { lsn: before.lsn, ordinal: before.ordinal - 1 };
      if (comparePositions(position, this.#position) > 0) this.#position = position;
    }
    let passed: Pair | undefined;
    while (this.#waiting[0] !== undefined && this.#waiting[0].lsn <= lsn) passed = this.#waiting.shift();
    if (passed === undefined) return;
    this.#pair = passed;
    const { snapshot } = passed;
    this.#recent = this.#recent.filter(({ txId }) => !snapshot.sees(txId));
  }

  /** The checkpoint of what is delivered now. */
  get checkpoint(): Checkpoint {
    this.#pass();
    return this.at(this.inHand.passed);
  }

  /** The checkpoint that is true when so many of the events that were offered are delivered. */
  at(passed: number): Checkpoint {
    if (this.#pair !== undefined && this.#liveFrom !== undefined && passed >= this.#liveFrom) {
      const ahead = passed > this.inHand.passed ? this.inHand.entryBefore(passed) : undefined;
      return this.#live(ahead?.logged.position ?? this.#position);
    }
    let checkpoint = this.#table;
    for (const mark of this.#marks) {
      if (mark.at > passed) break;
      checkpoint = mark.checkpoint;
    }
    return checkpoint;
  }

  /** Where the table is to be read from by a sink that leaves the WAL. */
  get asTable(): Checkpoint {
    const { checkpoint } = this;
    return checkpoint.mode === 'table' ? checkpoint : { ...checkpoint, mode: 'table' };
  }

  /** What was delivered beyond {@link asTable}'s snapshot, by transaction: up to which `seq`. */
  get delivered(): ReadonlyMap<bigint, bigint> {
    // After a restart it is not known what was delivered between the stored snapshot and the stored position. That is
    // repeated, and so must be all that came after it.
    if (this.#pair === this.#resumed && this.#resumed !== undefined) return new Map();
    return new Map(this.#recent.map(({ txId, lastSeq }) => [txId, lastSeq]));
  }

  /** Whether something is delivered that the checkpoint's snapshot does not see yet: it can become better. */
  get unseen(): boolean {
    return this.#recent.length > 0;
  }

  #live(position: Position): Checkpoint {
    const { snapshot } = this.#pair as Pair;
    return { ...this.#table, mode: 'live', position, snapshot, batch: null, adoption: null };
  }

  #passed({ logged: { txId, position, event } }: Entry): void {
    if (position === null) return;
    this.#position = position;
    const last = this.#recent.at(-1);
    if (last?.lsn === position.lsn) last.lastSeq = event.seq;
    else this.#recent.push({ txId, lsn: position.lsn, lastSeq: event.seq });
  }

  #pass(): void {
    const { passed } = this.inHand;
    while (this.#marks[0] !== undefined && this.#marks[0].at <= passed) {
      this.#table = (this.#marks.shift() as { readonly checkpoint: Checkpoint }).checkpoint;
    }
  }
}
