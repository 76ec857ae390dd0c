import { createHash } from 'node:crypto';
import type { ReceivedMessage } from '@event-runtime/runtime/testing';
import type { Arrivals, ReceivedEvent } from './received-events.ts';

/**
 * What the messages of a stream say that they are.
 *
 * The tenant and the type are in the subject and in headers, and the id is in two headers: where two places say
 * different things, the value names both, so that it is no event's.
 *
 * @param messages under `events.<tenant>.<type>`, in the stream's order
 */
export function streamArrivals(messages: readonly ReceivedMessage[]): Arrivals {
  return { received: messages.map(arrivalOf), refusedSignatures: [], once: true };
}

function arrivalOf({ attributes, data, subject, messageId, storedAt }: ReceivedMessage): ReceivedEvent {
  const [, tenant = '', ...type] = subject.split('.').map(decodeURIComponent);
  return {
    eventId: agreed(attributes['id'], 'ce-id', { value: messageId, place: 'Nats-Msg-Id' }),
    messageId,
    tenant: agreed(attributes['tenant'], 'ce-tenant', { value: tenant, place: 'its subject' }),
    entityKey: attributes['entitykey'] ?? '',
    eventType: agreed(attributes['type'], 'ce-type', { value: type.join('.'), place: 'its subject' }),
    sha256: createHash('sha256').update(data).digest('hex'),
    // Both clocks are this machine's; one counts from 1970, the other from the start of this process.
    arrivedAt: storedAt - performance.timeOrigin,
  };
}

/** What two places say, if it is the same. */
function agreed(
  value: string | undefined,
  place: string,
  other: { readonly value: string; readonly place: string },
): string {
  if (value === other.value) return value;
  return `${value ?? 'nothing'} in ${place}, ${other.value} in ${other.place}`;
}
