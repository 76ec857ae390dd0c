import { type EventRuntimeError, isEventRuntimeError } from '@event-runtime/outbox';
import { Agent, type Dispatcher } from 'undici';
import { runtimeError } from '../errors/codes.ts';
import type { DelivererSettings } from './deliverer-options.ts';
import type { ClaimedDelivery } from './delivery-queue.ts';
import { requestHeaders } from './delivery-request.ts';
import { type AttemptOutcome, attemptDelivery } from './http-attempt.ts';
import { onlyWhileValid } from './only-while-valid.ts';
import { SecretCache } from './secret-cache.ts';

/** Makes one attempt at one delivery: reads the secret, signs, posts. Connections are kept between attempts. */
export class Courier implements AsyncDisposable {
  readonly #settings: DelivererSettings;
  readonly #secrets: SecretCache;
  readonly #agent: Agent;
  readonly #dispatcher: Dispatcher;

  constructor(settings: DelivererSettings) {
    this.#settings = settings;
    this.#secrets = new SecretCache(settings.secretBox);
    this.#agent = new Agent({
      connect: settings.guard.connect,
      // How many requests go at once is decided per endpoint, and two endpoints may share an origin.
      connections: null,
      pipelining: 1,
      // The attempt's own limit counts; these only must not come first.
      headersTimeout: settings.requestTimeoutMs * 2,
      bodyTimeout: settings.requestTimeoutMs * 2,
    });
    this.#dispatcher = this.#agent.compose(onlyWhileValid(settings.valid));
  }

  /** Never rejects: whatever goes wrong is an outcome. */
  async attempt(delivery: ClaimedDelivery, signal: AbortSignal): Promise<AttemptOutcome> {
    const began = performance.timeOrigin + performance.now();
    try {
      const { event } = delivery;
      if (event === null) throw runtimeError('ER4009', { detail: `It is ${delivery.eventId}.` });
      const url = this.#settings.guard.checkUrl(delivery.url);
      const secret = this.#secrets.open(delivery.sealedSecret, { endpointId: delivery.endpointId });
      return await attemptDelivery({
        url,
        headers: requestHeaders(event, { secrets: [secret], now: Date.now() }),
        body: event.payload,
        dispatcher: this.#dispatcher,
        timeoutMs: this.#settings.requestTimeoutMs,
        maxResponseBytes: this.#settings.maxResponseBytes,
        signal,
      });
    } catch (cause) {
      const answeredAt = performance.timeOrigin + performance.now();
      const error = coded(cause);
      return { status: null, error, retryAfterMs: null, responseExcerpt: null, sentAt: began, answeredAt };
    }
  }

  /** Closes all connections, also those in use. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }
}

function coded(cause: unknown): EventRuntimeError {
  if (isEventRuntimeError(cause)) return cause;
  return runtimeError('ER4008', { detail: cause instanceof Error ? cause.message : '', cause });
}
