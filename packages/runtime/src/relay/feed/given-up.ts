import type { DeliveryResult } from '../../sinks/sink.ts';
import type { Entry, InHand } from './in-hand.ts';

/** So often an event is turned away, at least, before it is given up. */
const leastTimes = 5;

export interface GivenUpOptions {
  readonly inHand: InHand;
  /** Milliseconds since it was turned away for the first time. */
  readonly afterMs: number;
  /** When the sink took an event the last time, by the clock of `now`. */
  readonly takenAt: number;
  readonly now: number;
}

/**
 * The results of a batch, in which what was turned away for too long is refused: five times, although the sink has taken
 * another one since the first time. Where it takes nothing, the trouble is not the event's. Nor is it asked that it takes
 * others still: behind an event that waits a sink stands in the end, and is given nothing else.
 */
export function withGivenUp(
  batch: readonly Entry[],
  results: readonly DeliveryResult[],
  { inHand, afterMs, takenAt, now }: GivenUpOptions,
): readonly DeliveryResult[] {
  return results.map((result, index) => {
    if (result.type !== 'retry') return result;
    const before = inHand.turnedAway(batch[index] as Entry);
    if (before === undefined || takenAt <= before.since) return result;
    const [forMs, times] = [now - before.since, before.times + 1];
    if (forMs < afterMs || times < leastTimes) return result;
    const { error } = result;
    const reason = `turned away ${times} times in ${Math.round(forMs / 60_000)} minutes`;
    return { type: 'rejected', reason, error };
  });
}
