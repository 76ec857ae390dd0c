import { performance } from 'node:perf_hooks';

const everyMs = 20;
/** Steps one after the other, in other processes too, that are each as late: a kill, looks, statements, a delivery. */
const steps = 20;

/**
 * What a busy machine adds to a time: a timer of this process that is late by so much shows how late anything may be.
 * Where the machine has time, that is next to nothing.
 */
export class Lateness implements Disposable {
  #most = 0;
  #last = performance.now();
  readonly #timer: NodeJS.Timeout;

  constructor() {
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.#most = Math.max(this.#most, now - this.#last - everyMs);
      this.#last = now;
    }, everyMs);
  }

  /** So many milliseconds, and what this machine adds to them. */
  bound(ms: number): number {
    return ms + steps * this.#most;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
