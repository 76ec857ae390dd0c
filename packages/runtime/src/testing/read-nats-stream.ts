import { setTimeout as sleep } from 'node:timers/promises';
import type { NatsConnection } from '@nats-io/transport-node';
import { type NatsClient, natsClient } from './nats-client.ts';
import type { ReceivedEvent } from './sink-conformance/sink-site.ts';

/** An event as a message of a stream. */
export interface ReceivedMessage extends ReceivedEvent {
  /** The subject that it came under. */
  readonly subject: string;
  /** Its `Nats-Msg-Id`; empty without that header. */
  readonly messageId: string;
  /** When the stream stored it: milliseconds since 1970, with a fraction, by the server's clock. */
  readonly storedAt: number;
}

const attempts = 60;

/** How often {@link readWholeNatsStream} looks again, and how long it waits before. */
const again = { times: 40, ms: 500 };

/**
 * How long a consumer asks for messages at a time, in milliseconds. One that was placed on a server which has just come
 * back may be sent nothing, no heartbeat either: after one and a half times this it is made anew. By default: 45 s.
 */
const expires = 4_000;

/**
 * What a stream has, in its order, read by a consumer of its own that shares nothing with the sink.
 *
 * A cluster may need a moment to answer, and a consumer may be with a server that lags behind: it is read again, for
 * half a minute, until as much is there as the leader says. A stream that does not exist has nothing.
 *
 * @param servers - URLs, in any order
 * @throws ER5002 the client library is not installed; Error of the library, or of the count, when half a minute was not
 *   enough
 */
export async function readNatsStream(
  servers: readonly string[],
  stream: string,
): Promise<readonly ReceivedMessage[]> {
  const client = await natsClient();
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await using(client, servers, async (connection) => await read(client, connection, stream));
    } catch (error) {
      if (attempt === attempts) throw error;
      await sleep(500);
    }
  }
}

/**
 * How many messages a stream has, as its leader says; 0 while nobody can say, or where there is no stream.
 *
 * @throws ER5002 the client library is not installed
 */
export async function countNatsMessages(servers: readonly string[], stream: string): Promise<number> {
  const client = await natsClient();
  try {
    return await using(client, servers, async (connection) => await count(client, connection, stream));
  } catch {
    return 0;
  }
}

/**
 * As {@link readNatsStream}, of a cluster in which leaders have changed: a new one tells of what it has applied, and may
 * have more to apply. Reads again until there are so many messages; after 20 s what there is.
 */
export async function readWholeNatsStream(
  servers: readonly string[],
  of: { readonly stream: string; readonly messages: number },
): Promise<readonly ReceivedMessage[]> {
  let found = await readNatsStream(servers, of.stream);
  for (let time = 0; time < again.times && found.length < of.messages; time += 1) {
    await sleep(again.ms);
    found = await readNatsStream(servers, of.stream);
  }
  return found;
}

/**
 * Gives a stream another limit of its messages' size.
 *
 * @param options `bytes`: headers included; -1: none
 * @returns false while nobody can do it, or where there is no stream
 * @throws ER5002 the client library is not installed
 */
export async function limitNatsMessages(
  servers: readonly string[],
  options: { readonly stream: string; readonly bytes: number },
): Promise<boolean> {
  const client = await natsClient();
  try {
    return await using(client, servers, async (connection) => {
      const { streams } = await client.jetstreamManager(connection);
      const { config } = await streams.update(options.stream, { max_msg_size: options.bytes });
      return config.max_msg_size === options.bytes;
    });
  } catch {
    return false;
  }
}

async function count(client: NatsClient, connection: NatsConnection, stream: string): Promise<number> {
  const { streams } = await client.jetstreamManager(connection);
  const names: string[] = [];
  for await (const name of streams.names()) names.push(name);
  return names.includes(stream) ? (await streams.info(stream)).state.messages : 0;
}

async function read(
  client: NatsClient,
  connection: NatsConnection,
  stream: string,
): Promise<readonly ReceivedMessage[]> {
  const messages = await count(client, connection, stream);
  const found: ReceivedMessage[] = [];
  if (messages === 0) return found;
  const consumer = await client.jetstream(connection).consumers.get(stream);
  for await (const message of await consumer.consume({ expires })) {
    const attributes: Record<string, string> = {};
    for (const [name, [value = '']] of message.headers ?? []) {
      if (name.startsWith('ce-')) attributes[name.slice(3)] = decodeURIComponent(value);
      else if (name === 'traceparent') attributes[name] = value;
    }
    found.push({
      attributes,
      data: Buffer.from(message.data),
      subject: message.subject,
      messageId: message.headers?.get('Nats-Msg-Id') ?? '',
      storedAt: Number(message.timestampNanos) / 1e6,
    });
    if (message.info.pending === 0) break;
  }
  // Its consumer may be with a server that has not all of the stream yet; the leader says how much that is.
  if (found.length < messages) throw new Error(`read ${found.length} of ${messages} messages`);
  return found;
}

async function using<T>(
  client: NatsClient,
  servers: readonly string[],
  use: (connection: NatsConnection) => Promise<T>,
): Promise<T> {
  const connection = await client.connect({ servers: [...servers] });
  try {
    return await use(connection);
  } finally {
    await connection.close();
  }
}
