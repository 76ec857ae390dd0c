import { setTimeout as sleep } from 'node:timers/promises';
import type { Consumer } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { type NatsClient, natsClient } from './nats-client.ts';

/** Milliseconds between two looks for a stream that is not there yet. */
const lookEveryMs = 50;

/**
 * Which messages a stream has by now, by a consumer of its own that reads their headers as they are stored. The stream may
 * be made later. To see where a run stands: what the stream has in the end says {@link readNatsStream}.
 */
export class NatsStreamWatch implements AsyncDisposable {
  readonly #client: NatsClient;
  readonly #connection: NatsConnection;
  readonly #messageIds = new Set<string>();
  readonly #stopped = new AbortController();
  #lastAt = 0;
  #watching: Promise<void> | undefined;

  private constructor(client: NatsClient, connection: NatsConnection) {
    this.#client = client;
    this.#connection = connection;
  }

  /** @throws ER5002 the client library is not installed; Error of the library: no server answers */
  static async start(servers: readonly string[], stream: string): Promise<NatsStreamWatch> {
    const client = await natsClient();
    const watch = new NatsStreamWatch(client, await client.connect({ servers: [...servers] }));
    // A watch that fails shows nothing more, as does a stream that gets nothing more: whoever waits, waits for so long.
    watch.#watching = watch.#watch(stream).catch(() => undefined);
    return watch;
  }

  /** How many different `Nats-Msg-Id` the stream has. */
  get distinct(): number {
    return this.#messageIds.size;
  }

  has(messageId: string): boolean {
    return this.#messageIds.has(messageId);
  }

  /** `performance.now()` when a message came last; 0 before the first. */
  get lastAt(): number {
    return this.#lastAt;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    await this.#connection.close();
    await this.#watching;
  }

  async #watch(stream: string): Promise<void> {
    const consumer = await this.#consumer(stream);
    for await (const message of await consumer.consume()) {
      this.#messageIds.add(message.headers?.get('Nats-Msg-Id') ?? '');
      this.#lastAt = performance.now();
    }
  }

  async #consumer(stream: string): Promise<Consumer> {
    for (;;) {
      try {
        return await this.#client.jetstream(this.#connection).consumers.get(stream, { headers_only: true });
      } catch {
        await sleep(lookEveryMs, undefined, { signal: this.#stopped.signal });
      }
    }
  }
}
