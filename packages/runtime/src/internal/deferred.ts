/** A promise with its two ends taken out. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(reason: unknown): void;
}

/** Makes a {@link Deferred}. A rejection that nobody awaits is not reported as unhandled. */
export function deferred<T = void>(): Deferred<T> {
  const ends: { resolve?: (value: T) => void; reject?: (reason: unknown) => void } = {};
  const promise = new Promise<T>((resolve, reject) => {
    ends.resolve = resolve;
    ends.reject = reject;
  });
  promise.catch(() => undefined);
  return {
    promise,
    resolve: (value) => ends.resolve?.(value),
    reject: (reason) => ends.reject?.(reason),
  };
}
