import type { DeliverOptions, DeliveryResult, Sink, SinkBatch, SinkFeatures } from './sink.ts';

export interface OpenedOnUseOptions {
  readonly name: string;
  readonly features: SinkFeatures;
  readonly open: (options: { readonly signal: AbortSignal }) => Promise<Sink>;
}

/**
 * A sink that is opened at its first batch. One that cannot be opened then waits like one that does not answer, and
 * holds up no other.
 */
export class OpenedOnUse implements Sink {
  readonly name: string;
  readonly features: SinkFeatures;
  readonly #open: OpenedOnUseOptions['open'];
  #sink: Sink | undefined;

  constructor(options: OpenedOnUseOptions) {
    this.name = options.name;
    this.features = options.features;
    this.#open = options.open;
  }

  /** @throws what opening throws: the batch is handed over again */
  async deliver(batch: SinkBatch, options: DeliverOptions): Promise<readonly DeliveryResult[]> {
    this.#sink ??= await this.#open(options);
    return await this.#sink.deliver(batch, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sink?.[Symbol.asyncDispose]();
  }
}
