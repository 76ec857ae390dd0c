import type { ReceivedEvent } from './received-events.ts';

/**
 * How long each event took, in milliseconds, shortest first: from the moment at which the application
 * sent COMMIT to the moment at which the first copy of the event had arrived whole at the receiver, or was
 * stored in the stream.
 *
 * Application and receiver are one process, and a stream's server is on the same machine, so one clock
 * measures both ends; the COMMIT itself is part of the time. Events that never arrived have no latency.
 */
export function latencies(
  commitAskedAt: ReadonlyMap<string, number>,
  received: readonly ReceivedEvent[],
): number[] {
  const found: number[] = [];
  for (const [eventId, arrivedAt] of firstArrivals(received)) {
    const asked = commitAskedAt.get(eventId);
    if (asked !== undefined) found.push(arrivedAt - asked);
  }
  return found.toSorted((one, other) => one - other);
}

/** `performance.now()` at the first arrival of each event, by its id. */
export function firstArrivals(received: readonly ReceivedEvent[]): Map<string, number> {
  const first = new Map<string, number>();
  for (const { eventId, arrivedAt } of received) if (!first.has(eventId)) first.set(eventId, arrivedAt);
  return first;
}

/**
 * The smallest measured value that at least the given share of all values does not exceed (nearest rank).
 *
 * @param sorted ascending
 * @param share 0 to 1
 * @returns 0 for no values
 */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}
