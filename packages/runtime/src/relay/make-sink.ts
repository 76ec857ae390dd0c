import { runtimeError } from '../errors/codes.ts';
import type { CheckpointOwner } from '../log/checkpoint.ts';
import type { DeliverOptions, DeliveryResult, Sink, SinkBatch, SinkFeatures } from '../sinks/sink.ts';
import type { SinkSource } from './relay.ts';

/** Makes a sink. One that cannot be made is made again at each batch: that is its own trouble, and no other's. */
export function makeSink(source: SinkSource, owner: CheckpointOwner): Sink {
  try {
    return make(source, owner);
  } catch {
    return new MadeLater(source, owner);
  }
}

class MadeLater implements Sink {
  readonly #source: SinkSource;
  readonly #owner: CheckpointOwner;
  #made: Sink | undefined;

  constructor(source: SinkSource, owner: CheckpointOwner) {
    this.#source = source;
    this.#owner = owner;
  }

  get name(): string {
    return this.#source.name;
  }

  /** What it can do is known once it is made. */
  get features(): SinkFeatures {
    return this.#made?.features ?? { order: true, dedupe: false, ownCheckpoint: false };
  }

  async deliver(batch: SinkBatch, options: DeliverOptions): Promise<readonly DeliveryResult[]> {
    if (this.#made === undefined) {
      this.#made = make(this.#source, this.#owner);
      // The batch may have along what such a sink is given by itself.
      if (this.#made.features.ownCheckpoint)
        throw new Error('the sink could be made, and is given the batch anew');
    }
    return await this.#made.deliver(batch, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#made?.[Symbol.asyncDispose]();
  }
}

/** Whoever wrote `create` may have done so without a compiler. @throws ER5001 */
function make(source: SinkSource, owner: CheckpointOwner): Sink {
  const { name } = source;
  let sink: unknown;
  try {
    sink = source.create(owner);
  } catch (cause) {
    throw unusable(name, { found: `threw ${cause instanceof Error ? cause.message : String(cause)}`, cause });
  }
  if (!isSink(sink)) {
    const found = `gave ${described(sink)}, not a sink (name, features, deliver, asyncDispose)`;
    throw unusable(name, { found });
  }
  if (sink.name === name) return sink;
  Promise.resolve(sink[Symbol.asyncDispose]()).catch(() => undefined);
  // Its checkpoint is kept under the one, and messages would name the other.
  throw unusable(name, { found: `gave a sink named ${JSON.stringify(sink.name)}` });
}

function isSink(given: unknown): given is Sink {
  if (typeof given !== 'object' || given === null) return false;
  const { name, features: able, deliver, [Symbol.asyncDispose]: dispose } = given as Partial<Sink>;
  const hasFeatures = typeof able === 'object' && able !== null;
  return (
    typeof name === 'string' && hasFeatures && typeof deliver === 'function' && typeof dispose === 'function'
  );
}

function described(given: unknown): string {
  if (given instanceof Promise) return 'a promise';
  return given === null ? 'null' : `a value of type ${typeof given}`;
}

function unusable(name: string, why: { readonly found: string; readonly cause?: unknown }): Error {
  const { found, cause } = why;
  return runtimeError('ER5001', {
    detail: `Sink ${name}: its create ${found}.`,
    remedy: 'Correct how the sink is made; it is made anew at the next attempt.',
    ...(cause === undefined ? {} : { cause }),
  });
}
