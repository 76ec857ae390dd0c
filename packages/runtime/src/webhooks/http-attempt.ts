import { type EventRuntimeError, isEventRuntimeError } from '@event-runtime/outbox';
import { type Dispatcher, request } from 'undici';
import { runtimeError } from '../errors/codes.ts';
import { parseRetryAfter } from './retry-schedule.ts';

const excerptCharacters = 1_000;

export interface AttemptRequest {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly dispatcher: Dispatcher;
  /** Milliseconds for all of it: connection, request, status and body of the answer. */
  readonly timeoutMs: number;
  /** Bytes of the answer's body that are read; then the connection is closed. */
  readonly maxResponseBytes: number;
  /** Lets go of the request; the outcome is then ER4006. */
  readonly signal: AbortSignal;
}

export interface AttemptOutcome {
  /** Null when no status came. */
  readonly status: number | null;
  /** Null exactly when the status is 200 to 299. */
  readonly error: EventRuntimeError | null;
  readonly retryAfterMs: number | null;
  /** The beginning of the answer's body, for a failure. */
  readonly responseExcerpt: string | null;
  /** Milliseconds since 1970 with a fraction, by our clock. */
  readonly sentAt: number;
  /** When the status came, or it was clear that none would. */
  readonly answeredAt: number;
}

/**
 * Posts once. Never rejects and never follows a redirect: what is not 2xx is a failure.
 *
 * The status decides. A body that is too long, or too slow for what is left of the time, is cut off and
 * changes nothing about it.
 */
export async function attemptDelivery(attempt: AttemptRequest): Promise<AttemptOutcome> {
  const sentAt = now();
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), attempt.timeoutMs);
  const letGo = (): void => limit.abort();
  attempt.signal.addEventListener('abort', letGo, { once: true });
  if (attempt.signal.aborted) letGo();
  try {
    const response = await request(attempt.url, {
      method: 'POST',
      headers: attempt.headers,
      body: attempt.body,
      dispatcher: attempt.dispatcher,
      signal: limit.signal,
    });
    const answeredAt = now();
    const status = response.statusCode;
    const body = await readBeginning(response.body, attempt.maxResponseBytes);
    const good = status >= 200 && status < 300;
    const asked = response.headers['retry-after'];
    return {
      status,
      error: good ? null : runtimeError('ER4007', { detail: `The status is ${status}.` }),
      retryAfterMs: good ? null : parseRetryAfter(Array.isArray(asked) ? asked[0] : asked, Date.now()),
      responseExcerpt: good || body.length === 0 ? null : excerpt(body),
      sentAt,
      answeredAt,
    };
  } catch (cause) {
    const late = limit.signal.aborted && !attempt.signal.aborted;
    const error = late
      ? runtimeError('ER4005', { detail: `It had ${attempt.timeoutMs} ms.` })
      : failureOf(cause);
    return { status: null, error, retryAfterMs: null, responseExcerpt: null, sentAt, answeredAt: now() };
  } finally {
    clearTimeout(timer);
    attempt.signal.removeEventListener('abort', letGo);
  }
}

/** Reads up to a number of bytes; a body with more is destroyed, and the connection with it. */
async function readBeginning(body: Dispatcher.ResponseData['body'], maxBytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of body as AsyncIterable<Buffer>) {
      parts.push(part);
      bytes += part.length;
      if (bytes > maxBytes) break;
    }
  } catch {
    // Cut off by the other side or by our time limit: what came is what there is.
  }
  return Buffer.concat(parts).subarray(0, maxBytes);
}

function excerpt(body: Buffer): string {
  return body.toString('utf8').slice(0, excerptCharacters);
}

/** The catalogue's error for what undici threw. */
function failureOf(cause: unknown): EventRuntimeError {
  for (let at = cause; at instanceof Error; at = at.cause) {
    if (isEventRuntimeError(at)) return at;
  }
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
  switch (code) {
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
      return runtimeError('ER4005', { detail: `(${code})`, cause });
    case 'UND_ERR_INVALID_ARG':
      return runtimeError('ER4008', { detail: cause instanceof Error ? cause.message : '', cause });
    default:
      return runtimeError('ER4006', { detail: `(${code})`, cause });
  }
}

function now(): number {
  return performance.timeOrigin + performance.now();
}
