import { runtimeError } from '../../errors/codes.ts';
import { type Deferred, deferred } from '../../internal/deferred.ts';
import { orAborted } from '../../internal/or-aborted.ts';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import type { DeliveryResult, Sink, SinkBatch, SinkFeatures } from '../sink.ts';

export interface MemorySinkOptions {
  /** The sink's name: the key of its checkpoint. */
  readonly name: string;
  /** How many events it holds; what comes above is asked for again later. Default 10,000. */
  readonly maxEvents?: number;
  /** Milliseconds before what found no room is handed over again, the first time. Default 1,000. */
  readonly retryAfterMs?: number;
}

/**
 * Keeps events in this process's memory, for tests. What it has taken is gone with the process, though the relay
 * was told that it is delivered: nothing for production.
 */
export class MemorySink implements Sink {
  readonly name: string;
  readonly features: SinkFeatures = { order: true, dedupe: false, ownCheckpoint: false };
  readonly #maxEvents: number;
  readonly #retryAfterMs: number;
  #events: LoggedEvent[] = [];
  #changed: Deferred<void> = deferred();
  #disposed = false;

  constructor(options: MemorySinkOptions) {
    this.name = options.name;
    this.#maxEvents = options.maxEvents ?? 10_000;
    this.#retryAfterMs = options.retryAfterMs ?? 1_000;
  }

  /** What was handed over since the last {@link clear}, in that order; an event that came twice stands twice. */
  get events(): readonly LoggedEvent[] {
    return this.#events;
  }

  /** Forgets all events: there is room again. A list that was read before stays as it is. */
  clear(): void {
    this.#events = [];
  }

  /**
   * Resolves when the condition holds; it is asked now, and after each batch.
   *
   * @throws the signal's reason; Error when the sink is disposed first
   */
  async until(
    holds: (events: readonly LoggedEvent[]) => boolean,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    const { signal } = options;
    while (!holds(this.#events)) {
      signal?.throwIfAborted();
      if (this.#disposed) throw new Error('the memory sink is disposed');
      const { promise } = this.#changed;
      await (signal === undefined ? promise : orAborted(promise, signal));
    }
  }

  /** @throws the signal's reason when it is aborted: nothing of the batch is kept */
  async deliver(
    batch: SinkBatch,
    options: { readonly signal: AbortSignal },
  ): Promise<readonly DeliveryResult[]> {
    options.signal.throwIfAborted();
    const room = Math.max(0, this.#maxEvents - this.#events.length);
    const taken = batch.events.slice(0, room).map(copyOf);
    // A new list, so that one that was read before does not grow under its reader.
    this.#events = [...this.#events, ...taken];
    this.#tell();
    // Everything behind the first that found no room waits too, whatever its entity.
    return batch.events.map((_, index) => (index < room ? { type: 'delivered' } : this.#full()));
  }

  /** Ends what waits in {@link until}. The events can still be read. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    this.#tell();
  }

  #tell(): void {
    const changed = this.#changed;
    this.#changed = deferred();
    changed.resolve();
  }

  #full(): DeliveryResult {
    const error = runtimeError('ER4010', { detail: `${this.name} holds ${this.#maxEvents} events.` });
    return { type: 'retry', afterMs: this.#retryAfterMs, error };
  }
}

/** With a payload of its own: the one that is handed over may be a view of a much larger read from a socket. */
function copyOf(logged: LoggedEvent): LoggedEvent {
  return { ...logged, event: { ...logged.event, payload: Buffer.from(logged.event.payload) } };
}
