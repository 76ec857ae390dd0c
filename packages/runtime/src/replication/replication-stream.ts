import { Acker, type Ticket } from './acker.ts';
import { BatchQueue } from './batch-queue.ts';
import { CopyBoth, type CopyBothReceiver } from './copy-both.ts';
import { decodeFrame, encodeStatusUpdate, type Keepalive } from './frames.ts';
import { formatLsn, type Lsn, zeroLsn } from './lsn.ts';
import { PgoutputDecoder } from './pgoutput/decoder.ts';
import type { CommitMessage, PgoutputMessage } from './pgoutput/messages.ts';
import type { ByteReader } from './pgoutput/reader.ts';
import {
  defaultWalSenderTimeoutMs,
  quoteIdentifier,
  quoteLiteral,
  ReplicationConnection,
  type ServerIdentity,
} from './replication-connection.ts';
import { streamError } from './server-error.ts';
import { checkPublication, checkSlot, createSlot } from './slot.ts';
import { decideStatus, statusInterval } from './status-timing.ts';

/** A commit with its receipt: `acker.settle(ticket)` once the transaction is durable elsewhere. */
export interface ReceivedCommit extends CommitMessage {
  readonly ticket: Ticket;
}

/** Everything that was committed before `walEnd` and concerns this connection has come. */
export type KeepaliveMessage = Pick<Keepalive, 'kind' | 'walEnd'>;

/**
 * As it comes: `begin`, then the transaction's changes in their order, then `commit`. Transactions come in commit
 * order. A `keepalive` may stand anywhere; of several in a row only the last is passed on.
 */
export type StreamMessage = Exclude<PgoutputMessage, CommitMessage> | ReceivedCommit | KeepaliveMessage;

export interface ReplicationStreamOptions {
  /** A direct URL: a pooler in transaction mode cannot carry replication. */
  readonly connectionString: string;
  readonly slot: string;
  readonly publication: string;
  /**
   * Everything before is known to be durable already and is confirmed by the first status. Default: the
   * slot's own position. A position before the slot's does not bring back what was confirmed.
   */
  readonly startLsn?: Lsn | undefined;
  /** How often the position is reported, at most. Milliseconds; default 1 000, at most 40 % of walSenderTimeoutMs. */
  readonly statusIntervalMs?: number | undefined;
  /** See {@link ReplicationConnectionOptions.walSenderTimeoutMs}. Milliseconds; default 10 000. */
  readonly walSenderTimeoutMs?: number | undefined;
  /** What `pg_stat_activity` shows. Default `event-runtime relay`. */
  readonly applicationName?: string | undefined;
  /** Reading stops while so many bytes wait for the consumer. Default 4 MiB. One message may be larger. */
  readonly maxBufferedBytes?: number | undefined;
  /** Also what `pg_logical_emit_message` writes. Default false. Non-transactional ones have no ticket. */
  readonly messages?: boolean | undefined;
  /** Makes the slot first, as one that ends with this connection. Default false. */
  readonly temporarySlot?: boolean | undefined;
  /** Aborting it ends the stream: the iterator is done, the last position is reported, the connection closed. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens a slot's stream.
 *
 * @throws ER1001 cannot connect, ER1002 wal_level, ER1003 privilege, ER1005 encoding, ER1006 version,
 *   ER1201 slot in use, ER1202 slot missing or invalidated, ER1204 publication missing, ER1211 and ER1213 a slot that is
 *   not ours; the signal's reason
 */
export async function openReplicationStream(options: ReplicationStreamOptions): Promise<ReplicationStream> {
  const { slot, publication, signal } = options;
  const connection = await ReplicationConnection.open(options);
  const abort = (): void => {
    connection.socket.destroy();
  };
  signal?.addEventListener('abort', abort, { once: true });
  try {
    await checkPublication(connection, publication);
    if (options.temporarySlot === true) await createSlot(connection, { slot, temporary: true });
    else await checkSlot(connection, slot);
    const stream = new ReplicationStream(connection, options);
    await stream.start();
    signal?.throwIfAborted();
    return stream;
  } catch (cause) {
    connection.socket.destroy();
    signal?.throwIfAborted();
    throw streamError(cause, { slot, publication });
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

/**
 * One slot's stream over one connection: an async iterable of what came and an ack sink ({@link acker}).
 * It does not reconnect; when it has thrown, open another one. What was not settled comes again.
 *
 * The iterator yields the messages of one socket chunk at a time (an array: the cost per message stays
 * low); a transaction may span batches. It throws
 * - ER3004 the connection ended (retryable);
 * - ER3001, ER3002, ER3003 the stream is not what the protocol promises;
 * - ER1202, ER1204 the server refuses to go on: slot invalidated, publication dropped.
 * What was received and not yet taken is dropped then: it comes again. Leaving a `for await` early keeps
 * the stream open; it is closed by the signal or by disposing it.
 *
 * Memory: see {@link Tuple}. A batch is the consumer's from the moment it is taken.
 */
export class ReplicationStream implements AsyncIterable<readonly StreamMessage[]>, AsyncDisposable {
  /** Decides what is confirmed. Settle the ticket of each `commit`. */
  readonly acker: Acker;
  readonly identity: ServerIdentity;
  readonly #connection: ReplicationConnection;
  readonly #options: ReplicationStreamOptions;
  readonly #queue: BatchQueue<readonly StreamMessage[]>;
  readonly #decoder = new PgoutputDecoder();
  readonly #timeoutMs: number;
  readonly #intervalMs: number;
  #copy: CopyBoth | undefined;
  #batch: StreamMessage[] = [];
  #timer: NodeJS.Timeout | undefined;
  #paused = false;
  #sentAt = 0;
  #readAt = 0;
  #asked = 0;
  #walEnd: Lsn = zeroLsn;
  #closed: Promise<void> | undefined;

  /** Use {@link openReplicationStream}. */
  constructor(connection: ReplicationConnection, options: ReplicationStreamOptions) {
    this.identity = connection.identity;
    this.acker = new Acker(options.startLsn);
    this.#connection = connection;
    this.#options = options;
    this.#timeoutMs = options.walSenderTimeoutMs ?? defaultWalSenderTimeoutMs;
    this.#intervalMs = statusInterval(options.statusIntervalMs ?? 1_000, this.#timeoutMs);
    this.#queue = new BatchQueue(options.maxBufferedBytes ?? 4 * 1_024 * 1_024, () => this.#resume());
  }

  /** The last position that the server spoke of: a commit or a keepalive. 0/0 before the first. */
  get walEnd(): Lsn {
    return this.#walEnd;
  }

  /** Bytes that were read and wait for the consumer. */
  get bufferedBytes(): number {
    return this.#queue.bytes;
  }

  /** Called once, by {@link openReplicationStream}. */
  async start(): Promise<void> {
    const { slot, publication, startLsn, messages, signal } = this.#options;
    const settings = [`proto_version '1'`, `publication_names ${quoteLiteral(quoteIdentifier(publication))}`];
    if (messages === true) settings.push(`messages 'true'`);
    const from = formatLsn(startLsn ?? zeroLsn);
    this.#copy = await CopyBoth.start({
      socket: this.#connection.socket,
      command: `START_REPLICATION SLOT ${quoteIdentifier(slot)} LOGICAL ${from} (${settings.join(', ')})`,
      receiver: this.#receiver,
    });
    signal?.addEventListener('abort', this.#abort, { once: true });
    this.#readAt = performance.now();
    this.#sendStatus(false);
    this.#timer = setInterval(this.#tick, this.#intervalMs);
  }

  [Symbol.asyncIterator](): AsyncIterator<readonly StreamMessage[], undefined> {
    return this.#queue;
  }

  /** Reports the last position and closes the connection; returns when the socket is closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#queue.finish();
    await this.#close();
  }

  readonly #receiver: CopyBothReceiver = {
    data: (content) => this.#onFrame(content),
    chunkEnded: (bytes) => this.#onChunkEnd(bytes),
    ended: (cause) => {
      this.#queue.fail(streamError(cause, this.#options));
      void this.#close();
    },
  };

  /** Registers a transaction before anybody can see it. */
  #onFrame(content: ByteReader): void {
    const message = decodeFrame(content, this.#decoder);
    if (message.kind === 'keepalive') {
      this.#walEnd = message.walEnd;
      this.acker.keepalive(message.walEnd);
      if (this.#batch.at(-1)?.kind === 'keepalive') this.#batch.pop();
      this.#batch.push({ kind: 'keepalive', walEnd: message.walEnd });
      if (message.replyRequested) this.#sendStatus(false);
    } else if (message.kind === 'commit') {
      const { kind, commitLsn, endLsn, committedAt } = message;
      this.#walEnd = endLsn;
      const ticket = this.acker.received(endLsn);
      this.#batch.push({ kind, commitLsn, endLsn, committedAt, ticket });
    } else {
      if (message.kind === 'begin') this.acker.begin();
      this.#batch.push(message);
    }
  }

  #onChunkEnd(bytes: number): void {
    this.#readAt = performance.now();
    this.#asked = 0;
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    this.#batch = [];
    this.#queue.push(batch, bytes);
    if (!this.#queue.full || this.#paused) return;
    this.#paused = true;
    this.#copy?.pause();
  }

  #resume(): void {
    if (!this.#paused || this.#closed !== undefined) return;
    this.#paused = false;
    this.#readAt = performance.now();
    this.#copy?.resume();
  }

  readonly #tick = (): void => {
    const decision = decideStatus({
      now: performance.now(),
      sentAt: this.#sentAt,
      readAt: this.#readAt,
      paused: this.#paused,
      asked: this.#asked,
      intervalMs: this.#intervalMs,
      timeoutMs: this.#timeoutMs,
    });
    switch (decision) {
      case 'wait':
        break;
      case 'send':
        this.#sendStatus(false);
        break;
      case 'ask':
        this.#asked += 1;
        this.#sendStatus(true);
        break;
      case 'dead':
        this.#connection.socket.destroy(new Error(`the server has been silent for ${this.#timeoutMs} ms`));
        break;
    }
  };

  #sendStatus(replyRequested: boolean): void {
    this.#sentAt = performance.now();
    this.#copy?.send(
      encodeStatusUpdate({ confirmed: this.acker.confirmed, now: Date.now(), replyRequested }),
    );
  }

  readonly #abort = (): void => {
    this.#queue.finish();
    void this.#close();
  };

  #close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end(): Promise<void> {
    clearInterval(this.#timer);
    this.#options.signal?.removeEventListener('abort', this.#abort);
    this.#sendStatus(false);
    this.#copy?.stop();
    await this.#connection[Symbol.asyncDispose]();
  }
}
