import type { ReceivedEvent } from './received-events.ts';

/**
 * How long each event took, in milliseconds, shortest first: from the moment at which the application
 * sent COMMIT to the moment at which the first copy of the event had arrived whole at the receiver.
 *
 * Application and receiver are one process, so one clock measures both ends; the COMMIT itself is part
 * of the time. Events that never arrived have no latency.
 */
export function latencies(
  commitAskedAt: ReadonlyMap<string, number>,
  received: readonly ReceivedEvent[],
): number[] {
  const first = new Map<string, number>();
  for (const arrival of received) {
    const asked = commitAskedAt.get(arrival.eventId);
    if (asked !== undefined && !first.has(arrival.eventId))
      first.set(arrival.eventId, arrival.arrivedAt - asked);
  }
  return [...first.values()].toSorted((one, other) => one - other);
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
