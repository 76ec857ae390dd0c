import type { Ticket } from '../replication/acker.ts';
import type { Lsn } from '../replication/lsn.ts';
import {
  openReplicationStream,
  type ReplicationStream,
  type ReplicationStreamOptions,
  type StreamMessage,
} from '../replication/replication-stream.ts';
import type { LoggedEvent, Position } from './outbox-event.ts';
import { isOutbox, readOutboxRow } from './outbox-row.ts';

/** A transaction that has come in whole. */
export interface ReadTransaction {
  /** The position of its last event; null when it wrote none. */
  readonly last: Position | null;
  /** To be settled once every sink has everything up to `last`. */
  readonly ticket: Ticket;
}

/** What one read of the log gave: events in log order (a transaction may span batches), and what ended in it. */
export interface WalBatch {
  readonly events: readonly LoggedEvent[];
  readonly transactions: readonly ReadTransaction[];
}

/**
 * Committed events from the write-ahead log, in commit order. One connection's life: it does not
 * reconnect, and what was not settled comes again when it is opened anew.
 */
export class WalReader implements AsyncIterable<WalBatch>, AsyncDisposable {
  readonly #stream: ReplicationStream;
  #transaction: { readonly lsn: Lsn; readonly committedAt: number; events: number } | undefined;

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

  /** How far the log was read. */
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

  async *[Symbol.asyncIterator](): AsyncGenerator<WalBatch, void, undefined> {
    for await (const messages of this.#stream) {
      const batch = this.#read(messages);
      if (batch.events.length > 0 || batch.transactions.length > 0) yield batch;
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
          this.#transaction = { lsn: message.finalLsn, committedAt: message.committedAt, events: 0 };
          break;
        case 'insert': {
          const open = this.#transaction;
          if (open === undefined || !isOutbox(message.relation)) break;
          events.push({
            event: readOutboxRow(message.relation, message.row),
            position: { lsn: open.lsn, ordinal: open.events },
            committedAt: open.committedAt,
            capturedAt,
          });
          open.events += 1;
          break;
        }
        case 'commit': {
          const open = this.#transaction;
          const last =
            open === undefined || open.events === 0 ? null : { lsn: open.lsn, ordinal: open.events - 1 };
          transactions.push({ last, ticket: message.ticket });
          this.#transaction = undefined;
          break;
        }
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
