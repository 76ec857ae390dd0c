import { type BackoffOptions, backoffDelay } from '../../lifecycle/backoff.ts';

/** Work that ran so long, in milliseconds, was in order: its failures before do not count any more. */
const goodRunMs = 10_000;

/** Which units are left alone for a while after their work has failed. */
export class LeaseRest {
  readonly #clock: () => number;
  readonly #backoff: BackoffOptions;
  readonly #failures = new Map<string, { attempt: number; until: number }>();

  constructor(clock: () => number, backoff: BackoffOptions) {
    this.#clock = clock;
    this.#backoff = backoff;
  }

  /** @returns how often it has failed in a row, and the milliseconds of rest */
  failed(key: string, ranMs: number): { readonly attempt: number; readonly delayMs: number } {
    const attempt = ranMs >= goodRunMs ? 1 : (this.#failures.get(key)?.attempt ?? 0) + 1;
    const delayMs = backoffDelay(attempt, this.#backoff);
    this.#failures.set(key, { attempt, until: this.#clock() + delayMs });
    return { attempt, delayMs };
  }

  /** Its work ended without an error: failures before do not count any more. It rests for so many milliseconds. */
  succeeded(key: string, options: { readonly restMs: number }): void {
    this.#failures.set(key, { attempt: 0, until: this.#clock() + options.restMs });
  }

  /** Keys of the units that rest now. */
  get resting(): readonly string[] {
    const now = this.#clock();
    return [...this.#failures].filter(([, { until }]) => until > now).map(([key]) => key);
  }

  /** Milliseconds until the first of them may be tried again; infinite when none rests. */
  get endsInMs(): number {
    const now = this.#clock();
    const ends = [...this.#failures.values()].map(({ until }) => until - now).filter((left) => left > 0);
    return Math.min(Number.POSITIVE_INFINITY, ...ends);
  }
}
