import { setTimeout as sleep } from 'node:timers/promises';
import type { PlannedKill } from './kill-plan.ts';
import type { RelayUnderTest } from './relay-under-test.ts';

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
  #kills = 0;
  #killsWithBacklog = 0;
  #limit = Number.POSITIVE_INFINITY;

  constructor(options: KillerOptions) {
    this.#options = options;
  }

  get kills(): number {
    return this.#kills;
  }

  /** Kills at which committed events were not yet received: all of them, by the way they are chosen. */
  get killsWithBacklog(): number {
    return this.#killsWithBacklog;
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
      const backlog = await this.#backlog(signal);
      if (backlog === 0) return;
      // The signal goes out before anything else can be received: the backlog is that of this moment.
      if (await relay.kill()) {
        this.#kills += 1;
        if (backlog > 0) this.#killsWithBacklog += 1;
      }
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

  /** Waits until there are undelivered events. @returns how many; 0 when the signal came first */
  async #backlog(signal: AbortSignal): Promise<number> {
    for (;;) {
      const backlog = (await this.#options.countCommitted()) - this.#options.received();
      if (signal.aborted) return 0;
      if (backlog > 0) return backlog;
      // Everything has arrived: more must be committed before a kill can hit something.
      this.#limit = Number.POSITIVE_INFINITY;
      if (!(await pause(pollMs, signal))) return 0;
    }
  }
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
