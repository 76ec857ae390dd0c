import { type Deferred, deferred } from '../../internal/deferred.ts';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import type { DeliveryResult } from '../../sinks/sink.ts';

/** Events that a feed hands over beside what it reads. */
export interface Aside {
  readonly events: readonly LoggedEvent[];
  /** Undefined: it is not known what became of them, or they never went. */
  readonly results: Deferred<readonly DeliveryResult[] | undefined>;
}

/** What waits to be handed over beside what a feed reads, in its order. */
export class Asides {
  readonly #waiting: Aside[] = [];
  readonly #wake: () => void;
  #over = false;

  /** @param wake tells the feed that something waits */
  constructor(wake: () => void) {
    this.#wake = wake;
  }

  get waiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** See `Feed.handAside`. */
  async hand(
    events: readonly LoggedEvent[],
    signal?: AbortSignal,
  ): Promise<readonly DeliveryResult[] | undefined> {
    if (this.#over || signal?.aborted === true) return undefined;
    const aside: Aside = { events, results: deferred() };
    const takeBack = (): void => {
      const at = this.#waiting.indexOf(aside);
      if (at === -1) return;
      this.#waiting.splice(at, 1);
      aside.results.resolve(undefined);
    };
    this.#waiting.push(aside);
    signal?.addEventListener('abort', takeBack, { once: true });
    this.#wake();
    try {
      return await aside.results.promise;
    } finally {
      signal?.removeEventListener('abort', takeBack);
    }
  }

  /** The first one; from now on it is not taken back. Whoever takes it says what became of it. */
  take(): Aside | undefined {
    return this.#waiting.shift();
  }

  /** Nothing is handed over any more. */
  end(): void {
    this.#over = true;
    for (const { results } of this.#waiting.splice(0)) results.resolve(undefined);
  }
}
