export interface BackoffOptions {
  /** Milliseconds before the first repetition. Default 100. */
  readonly baseMs?: number;
  /** The longest delay in milliseconds. Default 15,000. */
  readonly maxMs?: number;
  /** A number from 0 up to 1; given by tests. Default `Math.random`. */
  readonly random?: () => number;
}

/**
 * How long to wait before repetition number `attempt` (from 1): exponential with "equal jitter", that is
 * between half of the exponential step and the whole of it, so that replicas do not come back in step.
 */
export function backoffDelay(attempt: number, options: BackoffOptions = {}): number {
  const step = Math.min(options.maxMs ?? 15_000, (options.baseMs ?? 100) * 2 ** Math.min(attempt - 1, 30));
  return Math.round(step / 2 + (step / 2) * (options.random ?? Math.random)());
}
