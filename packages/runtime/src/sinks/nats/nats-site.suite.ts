import { setTimeout as sleep } from 'node:timers/promises';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import { NatsServer } from '../../testing/nats-server.ts';
import type { ReceivedEvent, SinkSite } from '../../testing/sink-conformance/sink-site.ts';
import { NatsSink, type NatsSinkOptions } from './nats-sink.ts';

/** An event with the subject that it came under. */
export type ReceivedMessage = ReceivedEvent & { readonly subject: string };

/** A server of its own, and sinks into a stream of it. */
export class NatsSite implements SinkSite {
  readonly server: NatsServer;
  readonly outage: Required<NonNullable<SinkSite['outage']>>;

  private constructor(server: NatsServer) {
    this.server = server;
    this.outage = {
      begin: async () => await server.kill(),
      end: async () => await server.resume(),
      freeze: async () => server.freeze(),
      thaw: async () => server.thaw(),
    };
  }

  static async create(program: string): Promise<NatsSite> {
    return new NatsSite(await NatsServer.start({ program }));
  }

  sink(options: Partial<NatsSinkOptions> = {}): NatsSink {
    return new NatsSink({
      name: 'nats',
      servers: [this.server.url],
      stream: { name: 'EVENTS' },
      retryAfterMs: 20,
      ackMs: 2_000,
      ...options,
    });
  }

  async open(): Promise<NatsSink> {
    return this.sink();
  }

  async received(): Promise<readonly ReceivedMessage[]> {
    return await receivedFrom([this.server.url], 'EVENTS');
  }

  /** Above what a server takes by default. */
  poison(logged: LoggedEvent): LoggedEvent {
    return { ...logged, event: { ...logged.event, payload: Buffer.alloc(2 ** 20 + 1, '1') } };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
  }
}

/** What a stream has, by a client of its own, in the stream's order. A cluster may need a moment to answer. */
export async function receivedFrom(
  servers: readonly string[],
  stream: string,
): Promise<readonly ReceivedMessage[]> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await readStream(servers, stream);
    } catch (error) {
      if (attempt === 60) throw error;
      await sleep(500);
    }
  }
}

async function readStream(servers: readonly string[], stream: string): Promise<readonly ReceivedMessage[]> {
  const connection = await connect({ servers: [...servers] });
  try {
    const { streams } = await jetstreamManager(connection);
    const names: string[] = [];
    for await (const name of streams.names()) names.push(name);
    const messages = names.includes(stream) ? (await streams.info(stream)).state.messages : 0;
    const found: ReceivedMessage[] = [];
    if (messages === 0) return found;
    const consumer = await jetstream(connection).consumers.get(stream);
    for await (const message of await consumer.consume()) {
      const attributes: Record<string, string> = {};
      for (const [name, [value = '']] of message.headers ?? []) {
        if (name.startsWith('ce-')) attributes[name.slice(3)] = decodeURIComponent(value);
        else if (name === 'traceparent') attributes[name] = value;
      }
      found.push({ attributes, data: Buffer.from(message.data), subject: message.subject });
      if (message.info.pending === 0) break;
    }
    // Its consumer may be with a server that has not all of the stream yet; the leader says how much that is.
    if (found.length < messages) throw new Error(`read ${found.length} of ${messages} messages`);
    return found;
  } finally {
    await connection.close();
  }
}
