/**
 * The delays before each repetition, in milliseconds: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h;
 * ten attempts in 75 h 35 min. Source: Standard Webhooks 1.0.0, the sample schedule.
 */
export const defaultRetrySchedule: readonly number[] = [
  5_000,
  ...[5, 30].map((minutes) => minutes * 60_000),
  ...[2, 5, 10, 14, 20, 24].map((hours) => hours * 3_600_000),
];

export interface RetryScheduleOptions {
  /** Milliseconds before each repetition; after the last one the delivery is dead. Default {@link defaultRetrySchedule}. */
  readonly delaysMs?: readonly number[];
  /** How far a delay may move, as a part of it, either way. Default 0.2. */
  readonly jitter?: number;
  /** The longest wait that an endpoint may ask for by `Retry-After`, in milliseconds. Default one hour. */
  readonly maxRetryAfterMs?: number;
  /** A number from 0 up to 1; given by tests. Default `Math.random`. */
  readonly random?: () => number;
}

/** One failed attempt. */
export interface FailedAttempt {
  /** Which one it was; the first attempt is 1. */
  readonly attempt: number;
  /** What the endpoint asked for, in milliseconds; null if nothing. */
  readonly retryAfterMs: number | null;
}

/**
 * Milliseconds until the next attempt, or null when the schedule has ended and the delivery is dead.
 *
 * `Retry-After` only lengthens: an endpoint that asks for less does not bring the next attempt forward.
 */
export function retryDelay(failed: FailedAttempt, options: RetryScheduleOptions = {}): number | null {
  const step = (options.delaysMs ?? defaultRetrySchedule)[failed.attempt - 1];
  if (step === undefined) return null;
  const spread = (2 * (options.random ?? Math.random)() - 1) * (options.jitter ?? 0.2);
  const asked = Math.min(failed.retryAfterMs ?? 0, options.maxRetryAfterMs ?? 3_600_000);
  return Math.max(0, Math.round(step * (1 + spread)), asked);
}

/**
 * Reads the header `Retry-After`: whole seconds, or an HTTP date. Null for anything else and for the past.
 *
 * @param now milliseconds since 1970 @see RFC 9110 §10.2.3
 */
export function parseRetryAfter(value: string | undefined, now: number): number | null {
  const text = value?.trim() ?? '';
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  // Date.parse reads much more than HTTP dates ("-1" is a date to it); an HTTP date begins with a weekday.
  if (!/^[a-z]{3,9},? /i.test(text)) return null;
  const at = Date.parse(text);
  return Number.isNaN(at) || at <= now ? null : at - now;
}
