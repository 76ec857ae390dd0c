import type { DeliveryResult, Sink, SinkBatch, SinkFeatures } from '../sink.ts';

export interface NullSinkOptions {
  /** The sink's name: the key of its checkpoint. */
  readonly name: string;
}

/** Takes everything at once and keeps nothing but its count: what the relay itself can do is measured with it. */
export class NullSink implements Sink {
  readonly name: string;
  readonly features: SinkFeatures = { order: true, dedupe: false, ownCheckpoint: false };
  #delivered = 0;

  constructor(options: NullSinkOptions) {
    this.name = options.name;
  }

  /** How many events were handed over, one that came twice counted twice. */
  get delivered(): number {
    return this.#delivered;
  }

  /** @throws the signal's reason when it is aborted: nothing of the batch is counted */
  async deliver(
    batch: SinkBatch,
    options: { readonly signal: AbortSignal },
  ): Promise<readonly DeliveryResult[]> {
    options.signal.throwIfAborted();
    this.#delivered += batch.events.length;
    return batch.events.map(() => ({ type: 'delivered' }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Holds nothing.
  }
}
