import type { Dispatcher } from 'undici';
import { runtimeError } from '../errors/codes.ts';

/**
 * For undici's `compose`: lets a request go only if `valid` says so when its first byte is about to be written; else it
 * fails with ER1207, and nothing of it is sent.
 *
 * Whoever asks before he hands a request over asks too early: undici waits for a connection, and on one that was used
 * before for another turn of the event loop. A process that is stopped in between sends when it is continued.
 */
export function onlyWhileValid(valid: () => boolean): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) => dispatch(options, new AskingHandler(handler, valid));
}

class AskingHandler implements Dispatcher.DispatchHandler {
  readonly #inner: Dispatcher.DispatchHandler;
  readonly #valid: () => boolean;

  constructor(inner: Dispatcher.DispatchHandler, valid: () => boolean) {
    this.#inner = inner;
    this.#valid = valid;
  }

  /** Called right before the write, in the same turn. */
  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    this.#inner.onRequestStart?.(controller, context);
    if (!this.#valid()) controller.abort(runtimeError('ER1207', { detail: 'Webhook deliveries.' }));
  }

  onResponseStart(...args: Parameters<NonNullable<Dispatcher.DispatchHandler['onResponseStart']>>): void {
    this.#inner.onResponseStart?.(...args);
  }

  onResponseData(...args: Parameters<NonNullable<Dispatcher.DispatchHandler['onResponseData']>>): void {
    this.#inner.onResponseData?.(...args);
  }

  onResponseEnd(...args: Parameters<NonNullable<Dispatcher.DispatchHandler['onResponseEnd']>>): void {
    this.#inner.onResponseEnd?.(...args);
  }

  onResponseError(...args: Parameters<NonNullable<Dispatcher.DispatchHandler['onResponseError']>>): void {
    this.#inner.onResponseError?.(...args);
  }
}
