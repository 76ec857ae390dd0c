import type { Pool } from 'pg';
import { retrying } from '../lifecycle/retrying.ts';
import { type RunContext, Service } from '../lifecycle/service.ts';
import { type CheckpointOwner, loadCheckpoint } from '../log/checkpoint.ts';
import { WalReader } from '../log/wal-reader.ts';
import type { Sink } from '../sinks/sink.ts';
import { type Logger, silentLogger } from '../telemetry/logger.ts';
import { keepDeadLetter } from './dead-letter.ts';
import { Session } from './session.ts';
import { SinkFeed } from './sink-feed.ts';
import { provisionSlot } from './slot-provision.ts';

/** The publication that the migrations make. */
const publicationName = 'event_runtime';

export interface RelayOptions {
  /** A direct connection string (no pooler in transaction mode), of a role that may use replication. */
  readonly connectionString: string;
  /** For checkpoints and dead letters; it stays its owner's. */
  readonly pool: Pool;
  /** Name of the replication slot; made when it is missing. */
  readonly slot: string;
  /**
   * Where events go. Called once for each connection, when it is known whose positions are read; the relay
   * disposes the sinks when that connection ends.
   */
  readonly sinks: (owner: CheckpointOwner) => readonly Sink[];
  readonly logger?: Logger;
  /** What an unlimited `max_slot_wal_keep_size` means. Default `refuse` (ER1203). */
  readonly unboundedWal?: 'refuse' | 'warn';
  /** Milliseconds between two checkpoints of a sink, and two confirmations. Default 1,000. */
  readonly checkpointMs?: number;
  /** Bytes that may wait for a sink (see {@link SinkFeed.bytes}); reading stops above. Default 32 MiB. */
  readonly windowBytes?: number;
  /** See `wal_sender_timeout`; set for this connection only. Milliseconds; default 10,000. */
  readonly walSenderTimeoutMs?: number;
}

/**
 * Reads the log of one slot and hands its events over to the sinks, each at its own pace within a common
 * window. Comes back by itself after every failure that repetition may mend.
 *
 * Today it begins at the slot: events that were written before there was one stay in the outbox and are not
 * handed over (`relay.slot.late` says so). And a sink that stands still holds the others back once the window
 * is full. Reading the table in both cases is planned (docs/architecture.md).
 */
export class Relay extends Service {
  readonly #options: RelayOptions;
  readonly #logger: Logger;

  constructor(options: RelayOptions) {
    super('relay');
    this.#options = options;
    this.#logger = (options.logger ?? silentLogger).child({ component: 'relay', slot: options.slot });
  }

  protected override async run(context: RunContext): Promise<void> {
    await retrying(async () => await this.#session(context), {
      signal: context.stopping,
      baseMs: 50,
      maxMs: 5_000,
      onRetry: ({ error, attempt, delayMs }) => {
        this.#logger.warn('relay.reconnecting', { error, attempt, delayMs });
      },
    });
  }

  /** One connection's life. What was in memory dies with it: the next one begins at the checkpoints. */
  async #session(context: RunContext): Promise<void> {
    const { pool, slot } = this.#options;
    await provisionSlot({
      connectionString: this.#options.connectionString,
      pool,
      slot,
      publication: publicationName,
      unboundedWal: this.#options.unboundedWal ?? 'refuse',
      logger: this.#logger,
      signal: context.stopping,
    });
    await using reader = await this.#open(context.stopping);
    const owner: CheckpointOwner = { slot, systemIdentifier: reader.systemIdentifier };
    const sinks = this.#options.sinks(owner);
    try {
      await this.#stream({ reader, sinks, owner }, context);
    } finally {
      await Promise.allSettled(sinks.map(async (sink) => await sink[Symbol.asyncDispose]()));
    }
  }

  async #stream(
    connected: {
      readonly reader: WalReader;
      readonly sinks: readonly Sink[];
      readonly owner: CheckpointOwner;
    },
    context: RunContext,
  ): Promise<void> {
    const { reader, sinks, owner } = connected;
    const feeds = await Promise.all(sinks.map(async (sink) => await this.#feed(sink, owner)));
    this.#logger.info('relay.streaming', { sinks: sinks.map((sink) => sink.name) });
    context.ready();
    const session = new Session({
      reader,
      feeds,
      owner,
      pool: this.#options.pool,
      logger: this.#logger,
      checkpointMs: this.#options.checkpointMs ?? 1_000,
      windowBytes: this.#options.windowBytes ?? 32 * 1_024 * 1_024,
    });
    await session.run(context);
  }

  /** The signal ends the opening only: a stop needs the stream for its last confirmation. */
  async #open(signal: AbortSignal): Promise<WalReader> {
    const { connectionString, slot, walSenderTimeoutMs } = this.#options;
    const opening = new AbortController();
    const abort = (): void => opening.abort(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    try {
      return await WalReader.open({
        connectionString,
        slot,
        publication: publicationName,
        walSenderTimeoutMs,
        signal: opening.signal,
      });
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  async #feed(sink: Sink, owner: CheckpointOwner): Promise<SinkFeed> {
    const { pool } = this.#options;
    return new SinkFeed({
      sink,
      from: await loadCheckpoint(pool, { sink: sink.name, owner }),
      logger: this.#logger,
      onRejected: async (logged, { reason }) => {
        await keepDeadLetter(pool, { sink: sink.name, logged, reasonCode: 'rejected', reason });
        this.#logger.error('relay.sink.rejected', { sink: sink.name, eventId: logged.event.eventId, reason });
      },
    });
  }
}
