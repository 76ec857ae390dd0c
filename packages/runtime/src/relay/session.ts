import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import { runtimeError } from '../errors/codes.ts';
import { aborted, orAborted } from '../internal/or-aborted.ts';
import type { RunContext } from '../lifecycle/service.ts';
import { type CheckpointOwner, saveCheckpoint } from '../log/checkpoint.ts';
import { comparePositions, type Position } from '../log/outbox-event.ts';
import type { ReadTransaction, WalReader } from '../log/wal-reader.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { SinkFeed } from './sink-feed.ts';

export interface SessionOptions {
  readonly reader: WalReader;
  readonly feeds: readonly SinkFeed[];
  readonly owner: CheckpointOwner;
  readonly pool: Pool;
  readonly logger: Logger;
  readonly checkpointMs: number;
  readonly windowBytes: number;
}

/**
 * One connection's work: reads, hands over, writes checkpoints, and settles what every sink has durably.
 *
 * Invariants (relay.pg.test.ts):
 * 1. A transaction is settled only when the stored checkpoint of every sink covers its last event.
 * 2. A checkpoint is written only when the sink has moved on.
 * 3. Reading stops while more than `windowBytes` wait for the sinks.
 */
export class Session {
  readonly #options: SessionOptions;
  /** What is stored, by sink; a sink with checkpoints of its own stores with each batch. */
  readonly #stored = new Map<SinkFeed, Position>();
  #unsettled: ReadTransaction[] = [];

  constructor(options: SessionOptions) {
    this.#options = options;
    for (const feed of options.feeds) this.#stored.set(feed, feed.delivered);
  }

  /** Runs until `stopping`, then stores the last checkpoints. Rejects when the connection fails. */
  async run(context: Pick<RunContext, 'stopping' | 'aborted'>): Promise<void> {
    const failed = new AbortController();
    const stopping = AbortSignal.any([context.stopping, failed.signal]);
    const guard = async (work: Promise<void>): Promise<void> => {
      try {
        await work;
      } catch (error) {
        failed.abort(error);
        throw error;
      }
    };
    const parts = [
      guard(this.#read(stopping)),
      guard(this.#keepCheckpoints(stopping)),
      // What is delivered after the connection broke is not stored any more: a sink need not finish it.
      ...this.#options.feeds.map(async (feed) => {
        await guard(feed.run({ stopping, aborted: AbortSignal.any([context.aborted, failed.signal]) }));
      }),
    ];
    const outcomes = await Promise.allSettled(parts);
    if (!failed.signal.aborted) await this.#checkpoint();
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  async #read(stopping: AbortSignal): Promise<void> {
    const { reader, feeds } = this.#options;
    const batches = reader[Symbol.asyncIterator]();
    while (!stopping.aborted) {
      const next = await orAborted(batches.next(), stopping);
      if (next === aborted) return;
      if (next.done === true) throw runtimeError('ER3004');
      for (const feed of feeds) feed.offer(next.value.events);
      for (const transaction of next.value.transactions) this.#received(transaction);
      await this.#room(stopping);
    }
  }

  /** A transaction without events concerns no sink. */
  #received(transaction: ReadTransaction): void {
    if (transaction.last === null) this.#options.reader.settle(transaction.ticket);
    else this.#unsettled.push(transaction);
  }

  async #room(stopping: AbortSignal): Promise<void> {
    const { feeds, windowBytes } = this.#options;
    while (!stopping.aborted) {
      const full = feeds.filter((feed) => feed.bytes > windowBytes);
      if (full.length === 0) return;
      await orAborted(Promise.race(full.map((feed) => feed.progress)), stopping);
    }
  }

  async #keepCheckpoints(stopping: AbortSignal): Promise<void> {
    while (!stopping.aborted) {
      await sleep(this.#options.checkpointMs, undefined, { signal: stopping }).catch(() => undefined);
      if (!stopping.aborted) await this.#checkpoint();
    }
  }

  async #checkpoint(): Promise<void> {
    const { feeds, owner, pool, logger } = this.#options;
    for (const feed of feeds) {
      const position = feed.delivered;
      const stored = this.#stored.get(feed);
      if (stored !== undefined && comparePositions(position, stored) <= 0) continue;
      try {
        if (!feed.sink.features.ownCheckpoint)
          await saveCheckpoint(pool, { sink: feed.sink.name, owner, position });
        this.#stored.set(feed, position);
      } catch (error) {
        logger.warn('relay.checkpoint.failed', { sink: feed.sink.name, error });
      }
    }
    this.#settle();
  }

  #settle(): void {
    const stored = [...this.#stored.values()];
    let settled = 0;
    for (const { last, ticket } of this.#unsettled) {
      if (last !== null && stored.some((position) => comparePositions(position, last) < 0)) break;
      this.#options.reader.settle(ticket);
      settled += 1;
    }
    this.#unsettled = this.#unsettled.slice(settled);
  }
}
