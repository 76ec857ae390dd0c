import type { OutboxEvent } from '../../log/outbox-event.ts';
import { eachAttribute, producerHeaders } from '../envelope.ts';
import type { HeaderWriter } from './header-writer.ts';

/**
 * The envelope as NATS headers, in binary mode: each attribute under `ce-` and its name, percent-encoded as over HTTP.
 * `content-type` would say that the message is in structured mode, so that `datacontenttype` is an attribute like the
 * others. `Nats-Msg-Id` is {@link messageId}: what JetStream deduplicates by. A message that would end up in another
 * stream is refused.
 *
 * Source: CloudEvents 1.0.3, NATS Protocol Binding, §3.1; NATS ADR-4 (headers).
 *
 * @returns as they are sent, see {@link HeaderWriter}
 */
export function natsHeaders(
  event: OutboxEvent,
  { stream, writer }: { readonly stream: string; readonly writer: HeaderWriter },
): Buffer {
  writer.begin();
  writer.line('Nats-Msg-Id', messageId(event));
  eachAttribute(event, writer.attribute);
  if (event.traceparent !== null) writer.line('traceparent', event.traceparent);
  if (event.headers !== null) {
    for (const [name, value] of Object.entries(producerHeaders(event))) writer.attribute(`h${name}`, value);
  }
  writer.attribute('datacontenttype', 'application/json');
  writer.line('Nats-Expected-Stream', stream);
  return writer.end();
}

/** The event's id. A replay within the duplicate window must not be taken for a repetition: with its own id behind. */
export function messageId({ eventId, replay }: OutboxEvent): string {
  return replay === undefined ? eventId : `${eventId}:${replay}`;
}
