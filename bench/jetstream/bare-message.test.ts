import { expect, test } from 'vitest';
import type { OutboxEvent } from '../../packages/runtime/src/log/outbox-event.ts';
import { HeaderWriter } from '../../packages/runtime/src/sinks/nats/header-writer.ts';
import { natsHeaders } from '../../packages/runtime/src/sinks/nats/nats-envelope.ts';
import { bareHeaders } from './bare-message.ts';

test('the bare publisher sends the bytes that the product’s headers come to', () => {
  const event: OutboxEvent = {
    eventId: '019360b6-0000-7000-8000-000000000001',
    seq: 4_711n,
    tenantId: 'acme-insurance',
    ecosystem: null,
    eventType: 'claim.approved',
    eventVersion: 1,
    entityKey: 'claim-17',
    idempotencyKey: null,
    correlationId: null,
    causationId: null,
    sourceService: 'bench',
    traceparent: null,
    headers: null,
    payload: Buffer.from('{}'),
    recordedAt: '2026-11-20 10:00:00.123456+00',
  };
  const product = natsHeaders(event, { stream: 'EVENTS', writer: new HeaderWriter() });
  expect(bareHeaders(event, 'EVENTS').toString()).toBe(product.toString());
});
