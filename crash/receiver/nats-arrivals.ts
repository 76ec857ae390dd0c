import { createHash } from 'node:crypto';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import type { Arrival } from '../verdict/verdict.ts';

/** How many messages a stream has; 0 while nobody can say. */
export async function countMessages(servers: readonly string[], stream: string): Promise<number> {
  try {
    return await using(servers, async (connection) => {
      const { streams } = await jetstreamManager(connection);
      return (await streams.info(stream)).state.messages;
    });
  } catch {
    return 0;
  }
}

/** What a stream has, in its order, by a consumer of our own. @throws Error of the library */
export async function readNatsArrivals(servers: readonly string[], stream: string): Promise<Arrival[]> {
  return await using(servers, async (connection) => {
    const arrivals: Arrival[] = [];
    const { streams } = await jetstreamManager(connection);
    if ((await streams.info(stream)).state.messages === 0) return arrivals;
    const consumer = await jetstream(connection).consumers.get(stream);
    for await (const message of await consumer.consume()) {
      const header = (name: string): string => decodeURIComponent(message.headers?.get(name) ?? '');
      arrivals.push({
        eventId: header('ce-id'),
        tenant: header('ce-tenant'),
        entityKey: header('ce-entitykey'),
        sha256: createHash('sha256').update(message.data).digest('hex'),
        at: 0,
      });
      if (message.info.pending === 0) break;
    }
    return arrivals;
  });
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
