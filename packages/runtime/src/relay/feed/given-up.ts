import type { DeliveryResult } from '../../sinks/sink.ts';
import { type Entry, type InHand, keyOf } from './in-hand.ts';

/** So often an event is turned away, at least, before it is given up. */
const leastTimes = 5;

/** One batch, and what the sink said of it. */
export interface Settled {
  readonly batch: readonly Entry[];
  /** One for each event of the batch. */
  readonly results: readonly DeliveryResult[];
  /** What the sink itself said, of those that it was given. */
  readonly given: readonly DeliveryResult[];
  /** As it was before. */
  readonly inHand: InHand;
  /** By the clock that `InHand.settle` is given. */
  readonly now: number;
}

/**
 * Gives events up that are turned away for too long although their sink takes others.
 *
 * Where it takes nothing, the trouble is not the event's: time counts only while it takes some, from the first batch of which it
 * took any to the first one of which it took none and turned away what it had not seen. It need not take others still: behind an
 * event that waits a sink stands in the end, and is given nothing else.
 */
export class GivenUp {
  readonly #afterMs: number;
  #takenAt = Number.NEGATIVE_INFINITY;
  /** Since when it takes events; undefined: it takes none. */
  #takingSince: number | undefined;

  /** @param afterMs milliseconds since an event was turned away for the first time */
  constructor(afterMs: number) {
    this.#afterMs = afterMs;
  }

  /** The results of a batch, in which what was turned away for too long is refused. */
  results(settled: Settled): readonly DeliveryResult[] {
    const { batch, results, inHand, now } = settled;
    // By what was before: the first batch after an outage is no proof against what else is in it.
    const judged = results.map((result, index) =>
      result.type === 'retry' ? this.#judged(result, { entry: batch[index] as Entry, inHand, now }) : result,
    );
    this.#note(settled);
    return judged;
  }

  #judged(
    result: DeliveryResult & { readonly type: 'retry' },
    { entry, inHand, now }: { readonly entry: Entry; readonly inHand: InHand; readonly now: number },
  ): DeliveryResult {
    const before = inHand.turnedAway(entry);
    if (before === undefined || this.#takingSince === undefined || this.#takenAt <= before.since)
      return result;
    const times = before.times + 1;
    const countedMs = now - Math.max(before.since, this.#takingSince);
    if (countedMs < this.#afterMs || times < leastTimes) return result;
    const minutes = Math.round((now - before.since) / 60_000);
    return {
      type: 'rejected',
      reason: `turned away ${times} times in ${minutes} minutes`,
      error: result.error,
    };
  }

  #note({ batch, results, given, inHand, now }: Settled): void {
    if (given.some(({ type }) => type === 'delivered')) {
      this.#takenAt = now;
      this.#takingSince ??= now;
    } else if (turnsNewAway(batch, results, inHand)) this.#takingSince = undefined;
  }
}

/** Whether an event is turned away for the first time, and not for an earlier one of its entity. */
function turnsNewAway(batch: readonly Entry[], results: readonly DeliveryResult[], inHand: InHand): boolean {
  const entities = new Set<string>();
  return batch.some((entry, index) => {
    const key = keyOf(entry);
    if (results[index]?.type !== 'retry' || entities.has(key)) return false;
    entities.add(key);
    return inHand.turnedAway(entry) === undefined;
  });
}
