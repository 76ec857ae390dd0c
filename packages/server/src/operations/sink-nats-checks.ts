import { isEventRuntimeError } from '@event-runtime/outbox';
import type { Route, StreamConcern, StreamReport } from '@event-runtime/runtime';
import type { ConfiguredNats } from '../config/configured-sink.ts';
import { natsSink } from '../service/configured-sources.ts';
import { type Check, type CheckCode, fail, ok, warn } from './check.ts';
import { bytesText, countText, secondsText } from './quantities.ts';

export interface NatsCheckOptions {
  readonly routes: readonly Route[] | undefined;
  /** Where the references of `access` and `tls` are looked up. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** What mends a concern, for the `nats` command line; `sync_interval` and the like are the server's own. */
const edits: Readonly<Record<string, string>> = {
  storage: 'make a stream on disk (storage cannot be changed), and move its consumers there',
  persist_mode: 'make the stream again without persist_mode async',
  duplicate_window: 'nats stream edit STREAM --dupe-window=2m',
  discard: 'nats stream edit STREAM --discard=new: what finds no room then waits in the outbox',
  retention: 'make a stream with the retention limits, or see that its consumers are there before the events',
  num_replicas: 'nats stream edit STREAM --replicas=3',
  allow_atomic: 'nats stream edit STREAM --allow-batch',
};

/**
 * Whether the server of each NATS sink is there, as seen from this machine, and what its stream is like. The relay may run
 * elsewhere: a server that cannot be reached from here is a warning.
 */
export async function sinkNatsChecks(
  sinks: readonly ConfiguredNats<number>[],
  options: NatsCheckOptions,
): Promise<Check[]> {
  return (await Promise.all(sinks.map(async (sink) => await checksOf(sink, options)))).flat();
}

async function checksOf(sink: ConfiguredNats<number>, options: NatsCheckOptions): Promise<Check[]> {
  const name = `sink ${sink.name}`;
  await using looking = natsSink(sink, options);
  let report: StreamReport | undefined;
  try {
    report = await looking.inspect();
  } catch (error) {
    if (!isEventRuntimeError(error)) throw error;
    const found = { code: error.code as CheckCode, name, seen: error.message, fix: error.remedy };
    return [
      error.code === 'ER4014' ? warn({ ...found, seen: `${found.seen} As seen from here.` }) : fail(found),
    ];
  }
  const stream = `stream ${sink.stream.name} on ${sink.servers.join(' ')}`;
  if (report === undefined) return [missing(sink, { name, stream })];
  const { concerns } = report;
  const seen = concerns.length === 0 ? `${stream}, nothing against it` : stream;
  return [
    ok({ code: 'ER4014', name, seen }),
    ...concerns.map((one) => concernCheck(sink, one)),
    ok({ code: 'ER4018', name: `${name}, durability`, seen: durabilityText(report) }),
    ok({ code: 'ER4018', name: `${name}, limits`, seen: limitsText(report) }),
  ];
}

/** What a client cannot see is said as it is: how often the server calls fsync. */
function durabilityText({ replicas, duplicateWindowMs }: StreamReport): string {
  const kept =
    replicas === 1
      ? 'kept by 1 server: a power loss may take what it acknowledged since its last fsync ' +
        '(every 2 min, unless its sync_interval says otherwise); sync_interval: always, or 3 replicas, prevent that'
      : `kept by ${replicas} servers`;
  return `${kept}; an event that is sent again within ${secondsText(duplicateWindowMs / 1_000)} is there once`;
}

function limitsText(report: StreamReport): string {
  const { maxAgeMs, maxBytes, maxMessages, maxMessagesPerSubject, discard, maxMessageBytes } = report;
  const bounds = [
    ...(maxBytes === undefined ? [] : [bytesText(maxBytes)]),
    ...(maxMessages === undefined ? [] : [`${countText(maxMessages)} messages`]),
    ...(maxMessagesPerSubject === undefined ? [] : [`${countText(maxMessagesPerSubject)} of a subject`]),
  ];
  const full =
    discard === 'new'
      ? 'a full one takes nothing: events wait in the outbox'
      : 'a full one drops its oldest events, read or not';
  return [
    maxAgeMs === undefined ? 'nothing is too old' : `messages go after ${secondsText(maxAgeMs / 1_000)}`,
    bounds.length === 0 ? 'room without a bound of its own' : `room for ${bounds.join(', ')}; ${full}`,
    ...(maxMessageBytes === undefined
      ? []
      : [`a message above ${bytesText(maxMessageBytes)} becomes a dead letter`]),
  ].join('; ');
}

function missing(
  { stream: { create = true } }: ConfiguredNats<number>,
  { name, stream }: { readonly name: string; readonly stream: string },
): Check {
  if (create) return ok({ code: 'ER4014', name, seen: `${stream} is not there yet: the relay makes it` });
  return fail({
    code: 'ER4015',
    name,
    seen: `${stream} is not there, and create is false`,
    fix: 'Make the stream, or leave out `create: false`. Events wait in the outbox.',
  });
}

function concernCheck(sink: ConfiguredNats<number>, { property, found, danger }: StreamConcern): Check {
  return warn({
    code: 'ER4018',
    name: `sink ${sink.name}`,
    seen: `${property} of the stream ${sink.stream.name} is ${found}: ${danger}`,
    ...(edits[property] === undefined ? {} : { fix: edits[property].replace('STREAM', sink.stream.name) }),
  });
}
