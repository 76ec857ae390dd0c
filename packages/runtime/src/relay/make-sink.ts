import type { CheckpointOwner } from '../log/checkpoint.ts';
import { OpenedOnUse } from '../sinks/opened-on-use.ts';
import type { Sink } from '../sinks/sink.ts';
import type { SinkSource } from './relay.ts';

/** Of a sink that could not be made, until it can. */
const features = { order: true, dedupe: false, ownCheckpoint: false };

/** Makes a sink. One that cannot be made is made again at each batch: that is its own trouble, and no other's. */
export function makeSink(source: SinkSource, owner: CheckpointOwner): Sink {
  try {
    return make(source, owner);
  } catch {
    const { name } = source;
    return new OpenedOnUse({ name, features, open: async () => make(source, owner) });
  }
}

function make(source: SinkSource, owner: CheckpointOwner): Sink {
  const sink = source.create(owner);
  if (sink.name === source.name) return sink;
  throw new TypeError(`the sink ${source.name} was made with the name ${sink.name}`);
}
