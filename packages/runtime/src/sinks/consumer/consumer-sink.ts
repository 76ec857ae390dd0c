import { entityOf, type LoggedEvent } from '../../log/outbox-event.ts';
import type { DeliveryResult, Sink, SinkBatch, SinkFeatures } from '../sink.ts';

export interface ConsumerSinkOptions {
  /** The sink's name: the key of its checkpoint. */
  readonly name: string;
  /**
   * Called for one event at a time, in log order. Resolving says that the event is done, durably where that
   * matters: it is not handed over again, except after a crash before the next checkpoint. Throwing asks
   * for the event again, see `retryAfterMs`; later events of its entity wait for it, others do not.
   */
  readonly handle: (event: LoggedEvent, options: { readonly signal: AbortSignal }) => Promise<void> | void;
  /** Milliseconds before an event that failed is handed over again, the first time. Default 1,000. */
  readonly retryAfterMs?: number;
}

/** The sink into a function of this process. At least once, in order per entity, no deduplication. */
export class ConsumerSink implements Sink {
  readonly name: string;
  readonly features: SinkFeatures = { order: true, dedupe: false, ownCheckpoint: false };
  readonly #options: ConsumerSinkOptions;

  constructor(options: ConsumerSinkOptions) {
    this.name = options.name;
    this.#options = options;
  }

  async deliver(
    batch: SinkBatch,
    options: { readonly signal: AbortSignal },
  ): Promise<readonly DeliveryResult[]> {
    const results: DeliveryResult[] = [];
    const failed = new Map<string, Error>();
    for (const event of batch.events) {
      const entity = entityOf(event.event);
      const before = entity === undefined ? undefined : failed.get(entity);
      const error = before ?? (await this.#handle(event, options.signal));
      if (error === undefined) {
        results.push({ type: 'delivered' });
        continue;
      }
      if (entity !== undefined) failed.set(entity, error);
      results.push({ type: 'retry', afterMs: this.#options.retryAfterMs ?? 1_000, error });
    }
    return results;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Holds nothing.
  }

  async #handle(event: LoggedEvent, signal: AbortSignal): Promise<Error | undefined> {
    if (signal.aborted) return new DOMException('the relay was aborted', 'AbortError');
    try {
      await this.#options.handle(event, { signal });
      return undefined;
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }
}
