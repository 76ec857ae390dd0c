import type { Ticket } from '../replication/acker.ts';
import { type Lsn, zeroLsn } from '../replication/lsn.ts';
import {
  openReplicationStream,
  type ReceivedCommit,
  type ReplicationStream,
  type ReplicationStreamOptions,
  type StreamMessage,
} from '../replication/replication-stream.ts';
import type { LoggedEvent, Position } from './outbox-event.ts';
import { isOutbox, readOutboxRow, TransactionId } from './outbox-row.ts';

/** A transaction that has come in whole. */
export interface ReadTransaction {
  /** `xid8` of the transaction; null when it wrote no event. */
  readonly txId: bigint | null;
  /** Where its commit record starts: the LSN of its events' positions. */
  readonly lsn: Lsn;
  /** Where its commit record ends. */
  readonly endLsn: Lsn;
  /** The position of its last event; null when it wrote none. */
  readonly last: Position | null;
  /** To be settled once every sink has everything up to `last`. */
  readonly ticket: Ticket;
}

/**
 * What one read of the log gave: events in log order (a transaction may span batches), and what ended in it. Empty
 * where only {@link WalReader.readTo} moved on.
 */
export interface WalBatch {
  readonly events: readonly LoggedEvent[];
  readonly transactions: readonly ReadTransaction[];
}

interface OpenTransaction {
  readonly lsn: Lsn;
  readonly committedAt: number;
  events: number;
  txId: bigint | null;
}

/**
 * Committed events from the write-ahead log, in commit order. One connection's life: it does not
 * reconnect, and what was not settled comes again when it is opened anew.
 */
export class WalReader implements AsyncIterable<WalBatch>, AsyncDisposable {
  readonly #stream: ReplicationStream;
  readonly #txId = new TransactionId();
  #transaction: OpenTransaction | undefined;
  #readTo: Lsn = zeroLsn;

  private constructor(stream: ReplicationStream) {
    this.#stream = stream;
  }

  /** @throws as {@link openReplicationStream} */
  static async open(options: ReplicationStreamOptions): Promise<WalReader> {
    return new WalReader(await openReplicationStream(options));
  }

  /** `system_identifier` of the cluster that is read. */
  get systemIdentifier(): string {
    return this.#stream.identity.systemIdentifier;
  }

  /** Of the server that is read. */
  get timeline(): number {
    return this.#stream.identity.timeline;
  }

  /**
   * How far the consumer has read: everything that was committed before is in the batches that it has taken. It also
   * moves while nothing happens that concerns us. 0/0 before the first batch.
   */
  get readTo(): Lsn {
    return this.#readTo;
  }

  /** How far the server has sent; ahead of {@link readTo} by what waits to be taken. */
  get walEnd(): Lsn {
    return this.#stream.walEnd;
  }

  /** What has been confirmed to the server. */
  get confirmed(): Lsn {
    return this.#stream.acker.confirmed;
  }

  /** Lets the server forget a transaction, once nothing before it is unsettled either. */
  settle(ticket: Ticket): void {
    this.#stream.acker.settle(ticket);
  }

  /** Lets the server forget what lies before, as far as no transaction is unsettled there: see {@link Acker}. */
  limitKeepalives(lsn: Lsn): void {
    this.#stream.acker.limitKeepalives(lsn);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WalBatch, void, undefined> {
    for await (const messages of this.#stream) {
      const before = this.#readTo;
      const batch = this.#read(messages);
      if (batch.events.length > 0 || this.#readTo > before) yield batch;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stream[Symbol.asyncDispose]();
  }

  #read(messages: readonly StreamMessage[]): WalBatch {
    const events: LoggedEvent[] = [];
    const transactions: ReadTransaction[] = [];
    const capturedAt = performance.timeOrigin + performance.now();
    for (const message of messages) {
      switch (message.kind) {
        case 'begin':
          this.#transaction = {
            lsn: message.finalLsn,
            committedAt: message.committedAt,
            events: 0,
            txId: null,
          };
          break;
        case 'insert': {
          const open = this.#transaction;
          if (open === undefined || !isOutbox(message.relation)) break;
          const txId = this.#txId.of(message.relation, message.row);
          open.txId ??= txId;
          events.push({
            event: readOutboxRow(message.relation, message.row),
            txId,
            position: { lsn: open.lsn, ordinal: open.events },
            committedAt: open.committedAt,
            capturedAt,
          });
          open.events += 1;
          break;
        }
        case 'commit': {
          transactions.push(ended(this.#transaction, message));
          this.#readTo = message.endLsn;
          this.#transaction = undefined;
          break;
        }
        case 'keepalive':
          // Within a transaction it says nothing that is not known.
          if (this.#transaction === undefined && message.walEnd > this.#readTo) this.#readTo = message.walEnd;
          break;
        // The publication carries inserts only; the rest says nothing about events.
        case 'origin':
        case 'relation':
        case 'type':
        case 'update':
        case 'delete':
        case 'truncate':
        case 'message':
          break;
      }
    }
    return { events, transactions };
  }
}

function ended(open: OpenTransaction | undefined, commit: ReceivedCommit): ReadTransaction {
  const events = open?.events ?? 0;
  return {
    txId: open?.txId ?? null,
    lsn: commit.commitLsn,
    endLsn: commit.endLsn,
    last: events === 0 ? null : { lsn: commit.commitLsn, ordinal: events - 1 },
    ticket: commit.ticket,
  };
}
