import type { OutboxEvent } from '../../log/outbox-event.ts';
import { bindingHeaders } from '../envelope.ts';

/**
 * The envelope as NATS headers, in binary mode: each attribute under `ce-` and its name, percent-encoded as over HTTP.
 * `content-type` would say that the message is in structured mode, so that `datacontenttype` is an attribute like the
 * others. `Nats-Msg-Id` is {@link messageId}: what JetStream deduplicates by. A message that would end up in another
 * stream is refused.
 *
 * Source: CloudEvents 1.0.3, NATS Protocol Binding, §3.1; NATS ADR-4 (headers).
 */
export function natsHeaders(
  event: OutboxEvent,
  stream: string,
): Array<readonly [name: string, value: string]> {
  return [
    ['Nats-Msg-Id', messageId(event)],
    ...bindingHeaders(event),
    ['ce-datacontenttype', 'application/json'],
    ['Nats-Expected-Stream', stream],
  ];
}

/** The event's id. A replay within the duplicate window must not be taken for a repetition: with its own id behind. */
export function messageId({ eventId, replay }: OutboxEvent): string {
  return replay === undefined ? eventId : `${eventId}:${replay}`;
}
