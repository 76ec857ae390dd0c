import { setTimeout as sleep } from 'node:timers/promises';
import type { PlannedKill } from './kill-plan.ts';
import type { RelayUnderTest } from './relay-under-test.ts';

/** A kill that was carried out. */
export interface Kill {
  /** `performance.now()` right before the signal was sent. */
  readonly at: number;
  /** How many events had been committed by then, at least. */
  readonly committed: number;
}

export interface KillerOptions {
  readonly plan: readonly PlannedKill[];
  readonly relay: RelayUnderTest;
  /** Different committed events that were received so far. */
  readonly received: () => number;
  /** Committed events, counted in the application's own table. */
  readonly countCommitted: () => Promise<number>;
}

const pollMs = 3;

/**
 * Kills the relay at the planned moments while there are undelivered events, and starts it again at once.
 *
 * A moment waits until there is a backlog. So that one comes, the application asks {@link committedLimit}
 * before it commits more: it keeps ahead of the relay, and still has events left for the later kills.
 */
export class Killer {
  readonly #options: KillerOptions;
  readonly #kills: Kill[] = [];
  #limit = Number.POSITIVE_INFINITY;

  constructor(options: KillerOptions) {
    this.#options = options;
  }

  get kills(): readonly Kill[] {
    return this.#kills;
  }

  /** How many events may be committed for now. */
  get committedLimit(): number {
    return this.#limit;
  }

  /** Runs until the plan is done or the signal comes; with the signal the relay is left running. */
  async run(options: { readonly signal: AbortSignal }): Promise<void> {
    try {
      await this.#killAll(options.signal);
    } finally {
      this.#limit = Number.POSITIVE_INFINITY;
    }
  }

  async #killAll(signal: AbortSignal): Promise<void> {
    const { plan, relay } = this.#options;
    for (const planned of plan) {
      this.#limit = planned.committedAtMost;
      if (!(await this.#moment(planned, signal))) return;
      const committed = await this.#undelivered(signal);
      if (committed === undefined) return;
      const at = performance.now();
      if (await relay.kill()) this.#kills.push({ at, committed });
      await relay.start();
    }
  }

  /** Waits for a planned moment. @returns false when the signal came first */
  async #moment(planned: PlannedKill, signal: AbortSignal): Promise<boolean> {
    while (this.#options.received() < planned.received) {
      if (!(await pause(pollMs, signal))) return false;
    }
    return await pause(planned.afterMs, signal);
  }

  /** Waits until there are undelivered events. @returns how many are committed; undefined when the signal came first */
  async #undelivered(signal: AbortSignal): Promise<number | undefined> {
    for (;;) {
      const committed = await this.#options.countCommitted();
      if (signal.aborted) return undefined;
      if (committed > this.#options.received()) return committed;
      // Everything has arrived: more must be committed before a kill can hit something.
      this.#limit = Number.POSITIVE_INFINITY;
      if (!(await pause(pollMs, signal))) return undefined;
    }
  }
}

/**
 * At how many kills committed events had not arrived. By the moments at which they did, not by what was known at the
 * kill: who watches a stream knows later than the stream.
 *
 * @param arrivals `performance.now()` at the first arrival of each event
 */
export function killsWithBacklog(kills: readonly Kill[], arrivals: Iterable<number>): number {
  const moments = [...arrivals];
  return kills.filter(({ at, committed }) => moments.filter((moment) => moment <= at).length < committed)
    .length;
}

/** @returns false when the signal came first */
async function pause(milliseconds: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(milliseconds, undefined, { signal });
    return true;
  } catch (cause) {
    if (signal.aborted) return false;
    throw cause;
  }
}
