import {
  defaultSubject,
  FileSink,
  type Logger,
  NatsSink,
  NullSink,
  OpenedOnUse,
  type Route,
  RoutesTo,
  type Sink,
  type SinkSource,
} from '@event-runtime/runtime';
import type { ConfiguredLetters, ConfiguredNats, SinkSettings } from '../config/configured-sink.ts';
import { natsAccess } from './nats-access.ts';

/** What the relay makes of a configured sink. @param webhooks what `webhooks` means here */
export function configuredSource(
  sink: SinkSettings,
  options: {
    readonly webhooks: SinkSource;
    readonly logger: Logger;
    readonly routes?: readonly Route[] | undefined;
    /** Where `env:NAME` is looked up. */
    readonly env: Readonly<Record<string, string | undefined>>;
  },
): SinkSource {
  switch (sink.type) {
    case 'webhooks':
      return options.webhooks;
    case 'null':
      return { name: sink.name, create: () => new NullSink({ name: sink.name }) };
    case 'file':
      return { name: sink.name, ...letters(sink), create: () => fileSink(sink, options.logger) };
    case 'custom':
      return { name: sink.name, ...letters(sink), create: sink.create };
    case 'nats':
      return { name: sink.name, ...letters(sink), create: () => natsSink(sink, options) };
    default:
      sink satisfies never;
      throw new TypeError('a sink of an unknown type');
  }
}

function letters({
  afterDeadLetter,
  deadLetterAfter,
}: ConfiguredLetters<number>): Pick<SinkSource, 'afterDeadLetter' | 'deadLetterAfterMs'> {
  return {
    ...(afterDeadLetter === undefined ? {} : { afterDeadLetter }),
    ...(deadLetterAfter === undefined ? {} : { deadLetterAfterMs: deadLetterAfter }),
  };
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

/** Connects with its first batch, or to look at its stream. */
export function natsSink(
  sink: ConfiguredNats<number>,
  options: {
    readonly logger?: Logger;
    readonly routes?: readonly Route[] | undefined;
    readonly env: Readonly<Record<string, string | undefined>>;
  },
): NatsSink {
  const { name, servers, subject } = sink;
  const { duplicateWindow, maxAge, ...stream } = sink.stream;
  const routesTo = new RoutesTo(name, options.routes);
  return new NatsSink({
    name,
    servers,
    stream: {
      ...stream,
      ...(duplicateWindow === undefined ? {} : { duplicateWindowMs: duplicateWindow }),
      ...(maxAge === undefined ? {} : { maxAgeMs: maxAge }),
    },
    ...(routesTo.ownSubject ? { subject: subject ?? defaultSubject } : {}),
    routedSubjects: routesTo.subjects,
    access: async () => await natsAccess(sink, options.env),
    onConcern: ({ property, found, danger }) => {
      options.logger?.warn('sink.nats.concern', { sink: name, stream: stream.name, property, found, danger });
    },
  });
}
