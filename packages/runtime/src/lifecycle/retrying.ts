import { setTimeout as sleep } from 'node:timers/promises';
import { isEventRuntimeError } from '@event-runtime/outbox';
import { type BackoffOptions, backoffDelay } from './backoff.ts';

export interface RetryingOptions extends BackoffOptions {
  /** Ends the repetition; the returned promise then resolves. */
  readonly signal: AbortSignal;
  /** Told of each failure before the wait. */
  readonly onRetry: (failure: {
    readonly error: unknown;
    readonly attempt: number;
    readonly delayMs: number;
  }) => void;
  /** Milliseconds of good running after which the count starts again. Default 10,000. */
  readonly resetAfterMs?: number;
}

/**
 * Runs work again and again until it returns or the signal is aborted. A coded error that is not
 * retryable ends it at once; every other failure is waited out with {@link backoffDelay}.
 */
export async function retrying(work: () => Promise<void>, options: RetryingOptions): Promise<void> {
  let attempt = 0;
  while (!options.signal.aborted) {
    const began = performance.now();
    try {
      await work();
      return;
    } catch (error) {
      if (options.signal.aborted) return;
      if (isEventRuntimeError(error) && !error.retryable) throw error;
      if (performance.now() - began >= (options.resetAfterMs ?? 10_000)) attempt = 0;
      attempt += 1;
      const delayMs = backoffDelay(attempt, options);
      options.onRetry({ error, attempt, delayMs });
      await sleep(delayMs, undefined, { signal: options.signal }).catch(() => undefined);
    }
  }
}
