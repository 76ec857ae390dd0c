import { setTimeout as sleep } from 'node:timers/promises';

/** Keeps a rate over several writers; who comes in a burst does not wait, and the others wait the longer. */
export class Pace {
  readonly #perSecond: number;
  #next: number;

  constructor(perSecond: number, now: number = performance.now()) {
    this.#perSecond = perSecond;
    this.#next = now;
  }

  /** Milliseconds to wait before so many events may be written. */
  delay(events: number, now: number): number {
    // A pause, for example while the server was down, is not made up for.
    this.#next = Math.max(this.#next, now - 500);
    const wait = this.#next - now;
    this.#next += (events / this.#perSecond) * 1_000;
    return Math.max(0, wait);
  }

  /** Waits for the turn; a burst does not. */
  async turn(
    events: number,
    options: { readonly burst: boolean; readonly signal: AbortSignal },
  ): Promise<void> {
    const wait = this.delay(events, performance.now());
    if (!options.burst && wait > 1)
      await sleep(wait, undefined, { signal: options.signal }).catch(() => undefined);
  }
}
