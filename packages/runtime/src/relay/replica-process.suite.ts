import { writeSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import pg from 'pg';
import { ConsumerSink } from '../sinks/consumer/consumer-sink.ts';
import { createLogger } from '../telemetry/logger.ts';
import { WebhookSink } from '../webhooks/fan-out.ts';
import { Relay, type RelayOptions, type SinkSource } from './relay.ts';

/** What a relay in a process of its own is told, as JSON. */
export interface ReplicaSettings extends Omit<RelayOptions, 'sinks' | 'logger'> {
  /** Names of sinks that tell what they were given. */
  readonly consumers: readonly string[];
  /** Connection string for the fan-out of webhooks; none: there is no such sink. */
  readonly webhooks?: string;
}

/** In a child process: deliveries (`D`) and log lines (`L`) go out as lines. SIGTERM stops it in peace. */
export async function runReplicaProcess(json: string): Promise<void> {
  const { consumers, webhooks, ...options } = JSON.parse(json) as ReplicaSettings;
  const sinks: SinkSource[] = consumers.map((name) => ({ name, create: () => tellingSink(name) }));
  if (webhooks !== undefined) {
    const pool = new pg.Pool({
      connectionString: webhooks,
      options: '-c role=event_runtime_service -c synchronous_commit=local',
    });
    pool.on('error', () => undefined);
    pool.on('connect', stopInFanOut);
    sinks.push({ name: 'webhooks', create: (owner) => new WebhookSink({ pool, owner }) });
  }
  const logger = createLogger({ level: 'info', destination: { write: (line) => say(`L ${line}`) } });
  const relay = new Relay({ ...options, logger, sinks });
  process.on('SIGUSR2', () => {
    stopAsked = true;
  });
  process.once('SIGTERM', () => void relay.stop().then(() => process.exit(0)));
  await relay.start();
  // Of a process that is killed nothing is kept: the next one would have to strip all these files of their types again.
  flushCompileCache();
  await relay.finished;
}

let stopAsked = false;

/** At SIGUSR2 the process stops itself (SIGSTOP) in the middle of the next fan-out, before its second statement. */
function stopInFanOut(client: pg.PoolClient): void {
  const query = client.query.bind(client) as (...values: readonly unknown[]) => unknown;
  const stopping = (...values: readonly unknown[]): unknown => {
    if (stopAsked && (values[0] as { readonly name?: string }).name === 'webhooks-fan-out') {
      stopAsked = false;
      process.kill(process.pid, 'SIGSTOP');
    }
    return query(...values);
  };
  Object.assign(client, { query: stopping });
}

function tellingSink(name: string): ConsumerSink {
  return new ConsumerSink({
    name,
    retryAfterMs: 5,
    handle: ({ event, position }) => {
      const from = position === null ? 'table' : 'WAL';
      // The monotonic clock is the same in all processes of a machine.
      say(`D ${process.hrtime.bigint()} ${name} ${from} ${event.eventId} ${event.entityKey}\n`);
    },
  });
}

/** At once and whole: the next instruction may be the last. */
function say(line: string): void {
  const bytes = Buffer.from(line);
  for (let written = 0; written < bytes.length; ) {
    try {
      written += writeSync(1, bytes, written);
    } catch (error) {
      // The pipe is full: whoever reads it is busy.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}
