import { NatsServer, NatsStreamWatch, readNatsStream } from '@event-runtime/runtime/testing';
import type { DemoDestination } from './demo-setup.ts';
import type { DemoSink } from './demo-sink.ts';
import { findNatsServer } from './nats-server-program.ts';
import type { Arrivals } from './received-events.ts';
import { streamArrivals } from './stream-arrivals.ts';

const stream = 'DEMO';

/** The largest that nats-server's makers advise; its default of 1 MB is less than the largest payload. */
const configuration = 'max_payload: 8MB\n';

/** A nats-server of the demo's own, whose stream is watched while it runs, and read back whole at the end. */
export class NatsDemoSink implements DemoSink {
  readonly destination: DemoDestination;
  readonly description: string;
  readonly #server: NatsServer;
  readonly #watch: NatsStreamWatch;

  private constructor(server: NatsServer, watch: NatsStreamWatch) {
    this.#server = server;
    this.#watch = watch;
    this.destination = { type: 'nats', server: server.url, stream, folder: server.storeDirectory };
    this.description = `nats-server ${server.facts.version}, 127.0.0.1:${server.port}, stream ${stream}`;
  }

  /** @throws ER5002 the client library is not installed, ER5005 it did not start, ER5011 there is no nats-server */
  static async start(
    env: Readonly<Record<string, string | undefined>>,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<NatsDemoSink> {
    const program = await findNatsServer(env);
    const server = await NatsServer.start({ program, configuration, signal });
    try {
      return new NatsDemoSink(server, await NatsStreamWatch.start([server.url], stream));
    } catch (cause) {
      await server.stop();
      throw cause;
    }
  }

  get distinct(): number {
    return this.#watch.distinct;
  }

  has(eventId: string): boolean {
    return this.#watch.has(eventId);
  }

  get lastAt(): number {
    return this.#watch.lastAt;
  }

  async arrivals(): Promise<Arrivals> {
    return streamArrivals(await readNatsStream([this.#server.url], stream));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#watch[Symbol.asyncDispose]();
    await this.#server.stop();
  }
}
