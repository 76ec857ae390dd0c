/** What {@link orAborted} gives when the signal was faster. */
export const aborted: unique symbol = Symbol('aborted');

/**
 * The promise's outcome, or {@link aborted} as soon as the signal is.
 *
 * Instead of `Promise.race` with a promise that lives as long as the signal: that one would keep the outcome of
 * every race alive until it settles itself. Here nothing is left behind at the signal.
 */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | typeof aborted> {
  return await new Promise((resolve, reject) => {
    const onAbort = (): void => resolve(aborted);
    const settled = (): void => signal.removeEventListener('abort', onAbort);
    promise.finally(settled).then(resolve, reject);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}
