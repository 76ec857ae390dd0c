import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { deferred } from '../internal/deferred.ts';
import { orAborted } from '../internal/or-aborted.ts';
import { backoffDelay } from '../lifecycle/backoff.ts';
import { comparePositions, entityOf, type LoggedEvent, type Position } from '../log/outbox-event.ts';
import type { DeliveryResult, Sink } from '../sinks/sink.ts';
import type { Logger } from '../telemetry/logger.ts';

export interface SinkFeedOptions {
  readonly sink: Sink;
  /** What the sink has already: events up to here are not handed over again. */
  readonly from: Position;
  readonly logger: Logger;
  /** Called for an event that the sink refuses for good; it counts as done once this resolves. */
  readonly onRejected: (event: LoggedEvent, result: DeliveryResult & { type: 'rejected' }) => Promise<void>;
  /** Most events in one batch. Default 1,000. */
  readonly maxBatchEvents?: number;
  /** Most payload bytes in one batch (a single larger event still goes, alone). Default 4 MiB. */
  readonly maxBatchBytes?: number;
}

interface Entry {
  readonly logged: LoggedEvent;
  readonly entity: string | undefined;
  done: boolean;
}

/**
 * What an event without its payload and headers takes in memory, roughly: so that a great many small events
 * fill the window too.
 */
const eventOverheadBytes = 1_024;

/** Events of one entity that wait, in order, for a failed one of theirs to be tried again. */
interface Held {
  /** What waits; what was taken into the current batch is not among them. */
  entries: Entry[];
  until: number;
}

/**
 * One sink's way through the log: hands events over in batches, keeps the order of each entity under
 * retries, and knows up to where everything is delivered.
 *
 * Invariants (sink-feed.test.ts):
 * 1. An event is handed over only after every earlier event of its entity was delivered or rejected.
 * 2. A retry holds back its own entity only.
 * 3. `delivered` covers a contiguous prefix of what was offered, and never goes back.
 * 4. An event at or before `from` is never handed over.
 */
export class SinkFeed {
  readonly #options: SinkFeedOptions;
  readonly #maxEvents: number;
  readonly #maxBytes: number;
  /** Everything offered and not covered by `delivered`, in log order. */
  #open: Entry[] = [];
  /** Not yet handed over for the first time. */
  #fresh: Entry[] = [];
  readonly #held = new Map<string, Held>();
  #bytes = 0;
  #delivered: Position;
  #wake = deferred();
  #progress = deferred();

  constructor(options: SinkFeedOptions) {
    this.#options = options;
    this.#delivered = options.from;
    this.#maxEvents = options.maxBatchEvents ?? 1_000;
    this.#maxBytes = options.maxBatchBytes ?? 4 * 1024 * 1024;
  }

  get sink(): Sink {
    return this.#options.sink;
  }

  /** Everything up to here is delivered (or rejected and kept as a dead letter). */
  get delivered(): Position {
    return this.#delivered;
  }

  /** Bytes that wait here: payloads and headers, and 1 KiB for the rest of each event. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Resolves when `delivered` has moved on since this was asked for. */
  get progress(): Promise<void> {
    return this.#progress.promise;
  }

  /** Takes over events in log order. */
  offer(events: readonly LoggedEvent[]): void {
    for (const logged of events) {
      if (comparePositions(logged.position, this.#options.from) <= 0) continue;
      const entry: Entry = { logged, entity: entityOf(logged.event), done: false };
      this.#open.push(entry);
      this.#fresh.push(entry);
      this.#bytes += bytesOf(logged);
    }
    this.#wake.resolve();
  }

  /**
   * Hands over until `stopping` is aborted; the batch under way is finished, unless `aborted` comes too.
   * Never rejects: a sink that fails, and a dead letter that cannot be kept, are tried again.
   */
  async run(signals: { readonly stopping: AbortSignal; readonly aborted: AbortSignal }): Promise<void> {
    const { stopping } = signals;
    while (!stopping.aborted) {
      const batch = this.#nextBatch(Date.now());
      if (batch.length > 0) {
        await this.#handOver(batch, signals);
        // A sink that answers without any I/O would otherwise keep timers, sockets and signals from their turn.
        await nextTurn();
        continue;
      }
      this.#wake = deferred();
      const timer = new AbortController();
      const waits = [this.#wake.promise];
      const next = this.#nextRetryAt();
      if (next !== undefined) {
        waits.push(
          sleep(Math.max(1, next - Date.now()), undefined, { signal: timer.signal }).catch(() => undefined),
        );
      }
      await orAborted(Promise.race(waits), stopping);
      timer.abort();
    }
  }

  #nextRetryAt(): number | undefined {
    let next: number | undefined;
    for (const { until } of this.#held.values()) if (next === undefined || until < next) next = until;
    return next;
  }

  /** Held entities whose time has come first (they are older), then fresh events of entities that are not held. */
  #nextBatch(now: number): Entry[] {
    const batch: Entry[] = [];
    let bytes = 0;
    const fits = (entry: Entry): boolean => {
      const size = entry.logged.event.payload.length;
      if (batch.length > 0 && (batch.length >= this.#maxEvents || bytes + size > this.#maxBytes))
        return false;
      bytes += size;
      batch.push(entry);
      return true;
    };
    for (const held of this.#held.values()) {
      if (held.until > now) continue;
      const left = held.entries.findIndex((entry) => !fits(entry));
      held.entries = left === -1 ? [] : held.entries.slice(left);
    }
    let taken = 0;
    for (const entry of this.#fresh) {
      const held = entry.entity === undefined ? undefined : this.#held.get(entry.entity);
      if (held !== undefined) held.entries.push(entry);
      else if (!fits(entry)) break;
      taken += 1;
    }
    if (taken > 0) this.#fresh = this.#fresh.slice(taken);
    return batch;
  }

  async #handOver(
    batch: readonly Entry[],
    signals: { readonly stopping: AbortSignal; readonly aborted: AbortSignal },
  ): Promise<void> {
    const { sink } = this.#options;
    const handed = { events: batch.map((entry) => entry.logged), position: this.#positionAfter(batch) };
    const results = await this.#insist(signals.stopping, async () => {
      const given = await sink.deliver(handed, { signal: signals.aborted });
      if (given.length === batch.length) return given;
      throw new TypeError(`sink ${sink.name} gave ${given.length} results for ${batch.length} events`);
    });
    if (results !== undefined) await this.#settle({ batch, results, stopping: signals.stopping });
  }

  /** Tries again until it succeeds; undefined when `stopping` came first. */
  async #insist<T>(stopping: AbortSignal, work: () => Promise<T>): Promise<T | undefined> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work();
      } catch (error) {
        if (stopping.aborted) return undefined;
        const delayMs = backoffDelay(attempt);
        const { sink, logger } = this.#options;
        logger.warn('relay.sink.retry', { sink: sink.name, error, attempt, delayMs });
        await sleep(delayMs, undefined, { signal: stopping }).catch(() => undefined);
        if (stopping.aborted) return undefined;
      }
    }
  }

  /** What is covered once all of the batch is delivered: up to the first event that waits outside of it. */
  #positionAfter(batch: readonly Entry[]): Position {
    const handed = new Set(batch);
    let position = this.#delivered;
    for (const entry of this.#open) {
      if (!entry.done && !handed.has(entry)) break;
      position = entry.logged.position;
    }
    return position;
  }

  async #settle(outcome: {
    readonly batch: readonly Entry[];
    readonly results: readonly DeliveryResult[];
    readonly stopping: AbortSignal;
  }): Promise<void> {
    const { batch, results, stopping } = outcome;
    const again = new Map<string, Entry[]>();
    const until = new Map<string, number>();
    const touched = new Set<string>();
    for (const [index, entry] of batch.entries()) {
      const result = results[index] as DeliveryResult;
      // An event without an entity is an entity of its own.
      const key = entry.entity ?? `\u0000${entry.logged.event.eventId}`;
      touched.add(key);
      switch (result.type) {
        case 'delivered':
          entry.done = true;
          break;
        case 'rejected':
          // By itself, not with the batch: the others must not be handed over again for it.
          entry.done = await this.#kept(entry, { result, stopping });
          break;
        case 'retry':
          again.set(key, [...(again.get(key) ?? []), entry]);
          if (!until.has(key)) until.set(key, Date.now() + Math.max(0, result.afterMs));
          this.#sayRetry(entry, result);
          break;
      }
    }
    for (const key of touched) {
      const held = this.#held.get(key);
      const entries = [...(again.get(key) ?? []), ...(held?.entries ?? [])];
      const failed = until.get(key);
      if (entries.length === 0) this.#held.delete(key);
      else this.#held.set(key, { entries, until: failed ?? 0 });
    }
    this.#advance();
  }

  /** False when `stopping` came before the dead letter was kept: the event then comes again. */
  async #kept(
    entry: Entry,
    refused: { readonly result: DeliveryResult & { type: 'rejected' }; readonly stopping: AbortSignal },
  ): Promise<boolean> {
    const kept = await this.#insist(refused.stopping, async () => {
      await this.#options.onRejected(entry.logged, refused.result);
      return true;
    });
    return kept === true;
  }

  #sayRetry(entry: Entry, result: DeliveryResult & { type: 'retry' }): void {
    const { sink, logger } = this.#options;
    logger.warn('relay.sink.retry', {
      sink: sink.name,
      eventId: entry.logged.event.eventId,
      error: result.error,
      delayMs: result.afterMs,
    });
  }

  #advance(): void {
    let covered = 0;
    let last: Position | undefined;
    for (const entry of this.#open) {
      if (!entry.done) break;
      covered += 1;
      last = entry.logged.position;
      this.#bytes -= bytesOf(entry.logged);
    }
    if (last === undefined) return;
    this.#open = this.#open.slice(covered);
    this.#advanceTo(last);
  }

  #advanceTo(position: Position): void {
    this.#delivered = position;
    const waiting = this.#progress;
    this.#progress = deferred();
    waiting.resolve();
  }
}

function bytesOf({ event }: LoggedEvent): number {
  return event.payload.length + (event.headers?.length ?? 0) + eventOverheadBytes;
}
