import {
  FileSink,
  type Logger,
  NullSink,
  OpenedOnUse,
  type Sink,
  type SinkSource,
} from '@event-runtime/runtime';
import type { ConfiguredSink } from '../config/configured-sink.ts';

/** What the relay makes of a configured sink. @param webhooks what `webhooks` means here */
export function configuredSource(
  sink: ConfiguredSink,
  options: { readonly webhooks: SinkSource; readonly logger: Logger },
): SinkSource {
  switch (sink.type) {
    case 'webhooks':
      return options.webhooks;
    case 'null':
      return { name: sink.name, create: () => new NullSink({ name: sink.name }) };
    case 'file':
      return { name: sink.name, create: () => fileSink(sink, options.logger) };
    default:
      sink satisfies never;
      throw new TypeError('a sink of an unknown type');
  }
}

/** Opened on use: a folder that is not there yet is this sink's trouble alone. */
function fileSink({ name, path }: { readonly name: string; readonly path: string }, logger: Logger): Sink {
  return new OpenedOnUse({
    name,
    features: FileSink.features,
    open: async (options) => {
      const sink = await FileSink.open({ name, path, ...options });
      if (sink.tornBytes > 0) logger.warn('sink.file.torn', { sink: name, bytes: sink.tornBytes });
      return sink;
    },
  });
}
