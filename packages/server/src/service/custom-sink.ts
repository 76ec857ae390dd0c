import { OpenedOnUse, type Sink } from '@event-runtime/runtime';
import type { ConfiguredCustom } from '../config/configured-sink.ts';
import { serverError } from '../server-error.ts';

/** Of these the relay asks for the last only, and storing a checkpoint that the sink has stored too does no harm. */
const features = { order: true, dedupe: false, ownCheckpoint: false };

/** Made on use, anew after a failure: a sink of the configuration that cannot be made is this sink's trouble alone. */
export function customSink({ name, create }: Pick<ConfiguredCustom, 'name' | 'create'>): Sink {
  return new OpenedOnUse({ name, features, open: async () => await made(name, create) });
}

async function made(name: string, create: () => unknown): Promise<Sink> {
  let sink: unknown;
  try {
    sink = create();
  } catch (cause) {
    throw unusable(name, { found: `threw ${cause instanceof Error ? cause.message : String(cause)}`, cause });
  }
  if (!isSink(sink)) {
    throw unusable(name, {
      found: `gave ${described(sink)}, not a sink (name, features, deliver, asyncDispose)`,
    });
  }
  if (sink.name === name) return sink;
  await sink[Symbol.asyncDispose]();
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
  return serverError('ER5001', {
    detail: `Sink ${name}: its create ${found}.`,
    remedy: 'Correct the sink in the configuration file; it is made anew at the next attempt.',
    ...(cause === undefined ? {} : { cause }),
  });
}
