import { jetstreamManager, type StreamAPI, type StreamConfig } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import { NatsServer } from '../../testing/nats-server.ts';
import { type ReceivedMessage, readNatsStream } from '../../testing/read-nats-stream.ts';
import type { SinkSite } from '../../testing/sink-conformance/sink-site.ts';
import { NatsSink, type NatsSinkOptions } from './nats-sink.ts';

/** A server of its own, and sinks into a stream of it. */
export class NatsSite implements SinkSite {
  readonly server: NatsServer;
  readonly outage: Required<NonNullable<SinkSite['outage']>>;

  private constructor(server: NatsServer) {
    this.server = server;
    this.outage = {
      begin: async () => await server.kill(),
      end: async () => await server.resume(),
      freeze: async () => await server.freeze(),
      thaw: async () => server.thaw(),
    };
  }

  /** @param stream undefined: the sink makes it */
  static async create(program: string, stream?: Partial<StreamConfig>): Promise<NatsSite> {
    const site = new NatsSite(await NatsServer.start({ program }));
    if (stream !== undefined) {
      await site.withStreams(
        async (streams) => await streams.add({ name: 'EVENTS', subjects: ['events.>'], ...stream }),
      );
    }
    return site;
  }

  async withStreams<T>(use: (streams: StreamAPI) => Promise<T>): Promise<T> {
    const connection = await connect({ servers: this.server.url });
    try {
      return await use((await jetstreamManager(connection)).streams);
    } finally {
      await connection.close();
    }
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
    return await readNatsStream([this.server.url], 'EVENTS');
  }

  /** Above what a server takes by default. */
  poison(logged: LoggedEvent): LoggedEvent {
    return { ...logged, event: { ...logged.event, payload: Buffer.alloc(2 ** 20 + 1, '1') } };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
  }
}
