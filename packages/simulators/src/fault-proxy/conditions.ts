interface Waiter {
  readonly holds: () => boolean;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

/** Promises for conditions over state that others change, so that tests wait for a signal and never for a guess. */
export class Conditions {
  readonly #waiting = new Set<Waiter>();
  #closed: Error | undefined;

  /**
   * Resolves when the condition holds; it is asked now, and after each {@link changed}.
   * Rejects with the signal's reason, or with the reason of {@link close}.
   */
  until(holds: () => boolean, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    const promise = new Promise<void>((resolve, reject) => {
      if (signal?.aborted === true) reject(signal.reason as Error);
      else if (holds()) resolve();
      else if (this.#closed !== undefined) reject(this.#closed);
      else this.#wait({ holds, resolve, reject }, signal);
    });
    // A test that fails before it awaits this must show its own failure only.
    promise.catch(() => undefined);
    return promise;
  }

  /** Asks every condition that is waited for. */
  changed(): void {
    for (const waiter of this.#waiting) if (waiter.holds()) waiter.resolve();
  }

  /** Rejects what is still waited for, and whatever is asked for later and does not hold. */
  close(reason: Error): void {
    this.#closed = reason;
    for (const waiter of this.#waiting) waiter.reject(reason);
  }

  #wait(waiter: Waiter, signal: AbortSignal | undefined): void {
    const settle = (how: () => void): void => {
      this.#waiting.delete(settled);
      signal?.removeEventListener('abort', onAbort);
      how();
    };
    const onAbort = (): void => settle(() => waiter.reject(signal?.reason));
    const settled: Waiter = {
      holds: waiter.holds,
      resolve: () => settle(waiter.resolve),
      reject: (reason) => settle(() => waiter.reject(reason)),
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#waiting.add(settled);
  }
}
