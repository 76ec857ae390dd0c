import { createHash } from 'node:crypto';
import { readNatsStream } from '@event-runtime/runtime/testing';
import type { Arrival } from '../verdict/verdict.ts';

/**
 * What a stream has, in its order, by a consumer of our own. `at` is when the stream stored it, by its server's clock,
 * which is this machine's.
 *
 * @throws Error of the library
 */
export async function readNatsArrivals(servers: readonly string[], stream: string): Promise<Arrival[]> {
  return (await readNatsStream(servers, stream)).map(({ attributes, data, subject, storedAt }) => ({
    eventId: attributes['id'] ?? '',
    tenant: attributes['tenant'] ?? '',
    entityKey: attributes['entitykey'] ?? '',
    sha256: createHash('sha256').update(data).digest('hex'),
    subject,
    replay: attributes['replay'],
    at: storedAt,
  }));
}
