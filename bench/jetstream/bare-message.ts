import type { OutboxEvent } from '../../packages/runtime/src/log/outbox-event.ts';

/**
 * The headers that the product sends with such an event, written down in the shortest way: nothing in the load needs to be
 * encoded, and no event of it has an ecosystem, a correlation or headers of its producer.
 */
export function bareHeaders(event: OutboxEvent, stream: string): Buffer {
  const { eventId, eventType, sourceService, recordedAt, tenantId, entityKey, seq, eventVersion } = event;
  const time = `${recordedAt.slice(0, 10)}T${recordedAt.slice(11, -3)}Z`;
  return Buffer.from(
    `NATS/1.0\r\nNats-Msg-Id: ${eventId}\r\nce-specversion: 1.0\r\nce-id: ${eventId}\r\nce-type: ${eventType}\r\n` +
      `ce-source: /${sourceService}\r\nce-time: ${time}\r\nce-envelope: 1\r\nce-tenant: ${tenantId}\r\n` +
      `ce-entitykey: ${entityKey}\r\nce-seq: ${seq}\r\nce-eventversion: ${eventVersion}\r\n` +
      `ce-datacontenttype: application/json\r\nNats-Expected-Stream: ${stream}\r\n\r\n`,
    'latin1',
  );
}
