import { setTimeout as sleep } from 'node:timers/promises';

/** Looks at a process's memory again and again until disposed, and forgets nothing of it. */
export class MemorySamples implements AsyncDisposable {
  readonly #over = new AbortController();
  readonly #values: number[] = [];
  readonly #sampling: Promise<void>;

  /** @param look the memory now, in MB @param everyMs between two looks */
  constructor(look: () => Promise<number>, everyMs: number) {
    this.#sampling = this.#sample(look, everyMs);
    // Whoever waits for the process itself hears of its end.
    this.#sampling.catch(() => this.#over.abort());
  }

  get count(): number {
    return this.#values.length;
  }

  /** Resolves when there is a sample behind so many: a small load is over sooner than the next look. */
  async beyond(count: number): Promise<void> {
    while (this.#values.length <= count && !this.#over.signal.aborted) await sleep(10);
  }

  /** The largest of all. MB. */
  get most(): number {
    return Math.max(...this.#values);
  }

  /** Without the first third of them. MB. @param first index of a sample */
  meanSince(first: number): number {
    const since = this.#values.slice(first);
    const counted = since.slice(Math.floor(since.length / 3));
    return counted.reduce((sum, value) => sum + value, 0) / counted.length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await this.#sampling.catch(() => undefined);
  }

  async #sample(look: () => Promise<number>, everyMs: number): Promise<void> {
    while (!this.#over.signal.aborted) {
      this.#values.push(await look());
      await sleep(everyMs);
    }
  }
}
