import type { Checkpoint } from '../../log/checkpoint.ts';
import { beginning, type LoggedEvent, type OutboxEvent, type Position } from '../../log/outbox-event.ts';
import { Snapshot } from '../../log/snapshot.ts';
import type { WalBatch } from '../../log/wal-reader.ts';
import type { Ticket } from '../../replication/acker.ts';
import { type Lsn, toLsn, zeroLsn } from '../../replication/lsn.ts';
import { outboxEvent } from '../../sinks/file/sink-batch.suite.ts';
import type { Pair } from './progress.ts';

/** An event of the log: its `seq` is its name as well. */
export function loggedEvent(
  seq: number,
  more: {
    readonly entity?: string | null;
    readonly txId?: bigint;
    readonly position?: Position | null;
    readonly event?: Partial<OutboxEvent>;
  } = {},
): LoggedEvent {
  return {
    event: outboxEvent({
      eventId: `01a1fbfe-d2c6-722a-be7c-${seq.toString(16).padStart(12, '0')}`,
      seq: BigInt(seq),
      entityKey: more.entity ?? null,
      ...more.event,
    }),
    txId: more.txId ?? 700n,
    position:
      more.position === undefined ? { lsn: toLsn(BigInt(0x100 + seq * 0x10)), ordinal: 0 } : more.position,
    committedAt: 0,
    capturedAt: 1_000 + seq,
  };
}

/** The same event, as the table gives it. */
export function fromTable(logged: LoggedEvent): LoggedEvent {
  return { ...logged, position: null };
}

/** A sink that has nothing yet. */
export const fromNothing: Checkpoint = {
  mode: 'table',
  position: beginning,
  snapshot: Snapshot.nothing,
  batch: null,
  floorSeq: 0n,
  adoption: null,
};

/** Seqs of events, as numbers. */
export function seqs(events: Iterable<LoggedEvent>): number[] {
  return Array.from(events, ({ event }) => Number(event.seq));
}

export interface SimulatedTransaction {
  readonly txId: bigint;
  readonly seqs: readonly number[];
  /** Its commit record: `lsn` once it is written. */
  events: readonly LoggedEvent[];
  lsn: Lsn;
  endLsn: Lsn;
  visible: boolean;
  readonly ticket: Ticket;
}

/**
 * A database's log, as PostgreSQL writes it: a transaction draws its id and its `seq`s, later its commit record is in
 * the WAL, and only later is it visible to snapshots. Each step of each transaction in any order among the others.
 */
export class SimulatedLog {
  readonly transactions: SimulatedTransaction[] = [];
  /** Those with a commit record, in the order of the WAL. */
  readonly wal: SimulatedTransaction[] = [];
  /** Those without one. */
  readonly #open: SimulatedTransaction[] = [];
  #lsn = 0x1000n;
  #seq = 0;

  /** How far the WAL is written. */
  get insertLsn(): Lsn {
    return toLsn(this.#lsn);
  }

  /** All events of the WAL, in its order. */
  get events(): LoggedEvent[] {
    return this.wal.flatMap(({ events }) => events);
  }

  begin(events: number): SimulatedTransaction {
    const transaction = {
      txId: 700n + BigInt(this.transactions.length),
      seqs: Array.from({ length: events }, () => (this.#seq += 1)),
      events: [],
      lsn: zeroLsn,
      endLsn: zeroLsn,
      visible: false,
      ticket: { endLsn: zeroLsn },
    };
    this.transactions.push(transaction);
    this.#open.push(transaction);
    return transaction;
  }

  /** Writes the commit record of the n-th of those that have none. */
  write(nth: number, entity: string | null = null): SimulatedTransaction | undefined {
    const [transaction] = this.#open.splice(nth % this.#open.length, 1);
    if (transaction === undefined) return undefined;
    const lsn = toLsn(this.#lsn);
    const { txId } = transaction;
    transaction.lsn = lsn;
    transaction.events = transaction.seqs.map((seq, ordinal) =>
      loggedEvent(seq, { txId, entity, position: { lsn, ordinal } }),
    );
    this.#lsn += 0x30n;
    transaction.endLsn = toLsn(this.#lsn);
    this.wal.push(transaction);
    return transaction;
  }

  /** Makes the n-th of those visible that are in the WAL and are not. */
  show(nth: number): void {
    const hidden = this.wal.filter(({ visible }) => !visible);
    const transaction = hidden[nth % hidden.length];
    if (transaction !== undefined) transaction.visible = true;
  }

  /** Everything that has begun ends, and is visible. */
  finish(): void {
    while (this.write(0) !== undefined);
    for (const transaction of this.wal) transaction.visible = true;
  }

  snapshot(): Snapshot {
    return snapshotOf(this.transactions);
  }

  /** A tick, or any other moment: the snapshot first, then the LSN. */
  pair(): Pair {
    return { snapshot: this.snapshot(), lsn: this.insertLsn };
  }
}

/** As PostgreSQL makes it: xmax is behind the last one that ended. */
function snapshotOf(transactions: readonly SimulatedTransaction[]): Snapshot {
  const ended = transactions.filter(({ visible }) => visible).map(({ txId }) => txId);
  const xmax = (ended.at(-1) ?? 699n) + 1n;
  const open = transactions.filter(({ txId, visible }) => txId < xmax && !visible).map(({ txId }) => txId);
  return Snapshot.parse(`${open[0] ?? xmax}:${xmax}:${open.join(',')}`);
}

/** What a reader of the simulated WAL gets, some events at a time: transactions span batches as they do in life. */
export class SimulatedReader {
  readonly #log: SimulatedLog;
  #transaction: number;
  #event = 0;
  #readTo: Lsn = zeroLsn;

  /** @param from the first transaction that the slot sends */
  constructor(log: SimulatedLog, from = 0) {
    this.#log = log;
    this.#transaction = from;
  }

  get readTo(): Lsn {
    return this.#readTo;
  }

  /** At most so many events, and the commits behind them. */
  read(most: number): WalBatch {
    const events: LoggedEvent[] = [];
    const transactions: WalBatch['transactions'][number][] = [];
    for (;;) {
      const current = this.#log.wal[this.#transaction];
      // When it is full before the commit, that comes with the next batch.
      if (current === undefined || events.length === most) break;
      const next = current.events[this.#event];
      if (next !== undefined) {
        events.push(next);
        this.#event += 1;
        continue;
      }
      const { txId, lsn, endLsn, ticket } = current;
      const last = current.events.at(-1)?.position ?? null;
      transactions.push({ txId: last === null ? null : txId, lsn, endLsn, last, ticket });
      this.#readTo = endLsn;
      this.#transaction += 1;
      this.#event = 0;
    }
    return { events, transactions };
  }
}
