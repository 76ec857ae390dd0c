import { createHash } from 'node:crypto';
import { readFileSink } from '@event-runtime/runtime';
import type { Arrival } from '../verdict/verdict.ts';

/** What a file sink wrote, in its order; nothing when there is no file yet. When it came is not written there: `at` is 0. */
export async function readFileArrivals(path: string, signal: AbortSignal): Promise<Arrival[]> {
  const arrivals: Arrival[] = [];
  try {
    for await (const { attributes, data } of readFileSink(path, { signal })) {
      arrivals.push({
        eventId: attributes['id'] ?? '',
        tenant: attributes['tenant'] ?? '',
        entityKey: attributes['entitykey'] ?? '',
        sha256: createHash('sha256').update(data).digest('hex'),
        replay: attributes['replay'],
        at: 0,
      });
    }
  } catch (cause) {
    if ((cause as { readonly code?: unknown }).code !== 'ENOENT') throw cause;
  }
  return arrivals;
}
