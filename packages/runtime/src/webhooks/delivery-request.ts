import { readFileSync } from 'node:fs';
import type { OutboxEvent } from '../log/outbox-event.ts';
import { httpEnvelope } from '../sinks/envelope.ts';
import { messageId } from './message-id.ts';
import { sign } from './signature.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  readonly version: string;
};

const userAgent = `event-runtime/${version}`;

/**
 * The headers of one attempt: the envelope, then ours, which nothing of the producer's can replace (its own
 * headers are named `ce-h…`). The body is the payload and is not touched.
 *
 * `webhook-id` and `idempotency-key` are the same at every attempt; `webhook-timestamp` is the attempt's.
 *
 * @param options.now milliseconds since 1970
 */
export function requestHeaders(
  event: OutboxEvent,
  options: { readonly secrets: readonly string[]; readonly now: number },
): Record<string, string> {
  const id = messageId(event.eventId);
  const timestampSeconds = Math.floor(options.now / 1_000);
  return {
    ...httpEnvelope(event),
    'user-agent': userAgent,
    'idempotency-key': event.eventId,
    'webhook-id': id,
    'webhook-timestamp': String(timestampSeconds),
    'webhook-signature': sign({ secrets: options.secrets, id, timestampSeconds, body: event.payload }),
  };
}
