import { setTimeout as sleep } from 'node:timers/promises';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import type { ReceivedEvent } from './sink-conformance/sink-site.ts';

/** An event with the subject that it came under. */
export type ReceivedMessage = ReceivedEvent & { readonly subject: string };

const attempts = 60;

/**
 * What a stream has, in its order, read by a consumer of its own that shares nothing with the sink.
 *
 * A cluster may need a moment to answer, and a consumer may be with a server that lags behind: it is read again, for
 * half a minute, until as much is there as the leader says. A stream that does not exist has nothing.
 *
 * @param servers - URLs, in any order
 * @throws Error of the library, or of the count, when half a minute was not enough
 */
export async function readNatsStream(
  servers: readonly string[],
  stream: string,
): Promise<readonly ReceivedMessage[]> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await using(servers, async (connection) => await read(connection, stream));
    } catch (error) {
      if (attempt === attempts) throw error;
      await sleep(500);
    }
  }
}

/** How many messages a stream has, as its leader says; 0 while nobody can say, or where there is no stream. */
export async function countNatsMessages(servers: readonly string[], stream: string): Promise<number> {
  try {
    return await using(servers, async (connection) => await count(connection, stream));
  } catch {
    return 0;
  }
}

async function count(connection: NatsConnection, stream: string): Promise<number> {
  const { streams } = await jetstreamManager(connection);
  const names: string[] = [];
  for await (const name of streams.names()) names.push(name);
  return names.includes(stream) ? (await streams.info(stream)).state.messages : 0;
}

async function read(connection: NatsConnection, stream: string): Promise<readonly ReceivedMessage[]> {
  const messages = await count(connection, stream);
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
}

async function using<T>(
  servers: readonly string[],
  use: (connection: NatsConnection) => Promise<T>,
): Promise<T> {
  const connection = await connect({ servers: [...servers] });
  try {
    return await use(connection);
  } finally {
    await connection.close();
  }
}
