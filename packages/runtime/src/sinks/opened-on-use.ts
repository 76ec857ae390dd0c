import type { DeliverOptions, DeliveryResult, Sink, SinkBatch, SinkFeatures } from './sink.ts';

export interface OpenedOnUseOptions {
  readonly name: string;
  readonly features: SinkFeatures;
  readonly open: (options: DeliverOptions) => Promise<Sink>;
}

/**
 * A sink that is opened at its first batch. One that cannot be opened then waits like one that does not answer, and
 * holds up no other.
 */
export class OpenedOnUse implements Sink {
  readonly name: string;
  readonly features: SinkFeatures;
  readonly #open: OpenedOnUseOptions['open'];
  #opening: Promise<Sink> | undefined;

  constructor(options: OpenedOnUseOptions) {
    this.name = options.name;
    this.features = options.features;
    this.#open = options.open;
  }

  /** @throws what opening throws: the batch is handed over again */
  async deliver(batch: SinkBatch, options: DeliverOptions): Promise<readonly DeliveryResult[]> {
    this.#opening ??= this.#open(options);
    let sink: Sink;
    try {
      sink = await this.#opening;
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
    return await sink.deliver(batch, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Also while it is being opened: whoever comes next opens it again.
    const sink = await this.#opening?.catch(() => undefined);
    await sink?.[Symbol.asyncDispose]();
  }
}
