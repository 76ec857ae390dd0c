import type { LoggedEvent, OutboxEvent } from '../../log/outbox-event.ts';
import type { SinkBatch } from '../sink.ts';

/** An event with nothing but what it must have, and what a test says. */
export function outboxEvent(more: Partial<OutboxEvent> = {}): OutboxEvent {
  return {
    eventId: '01a1fbfe-d2c6-722a-be7c-d716c0c2014e',
    seq: 1n,
    tenantId: 'acme',
    ecosystem: null,
    eventType: 'thing.done',
    eventVersion: 1,
    entityKey: null,
    idempotencyKey: null,
    correlationId: null,
    causationId: null,
    sourceService: null,
    traceparent: null,
    headers: null,
    payload: Buffer.from('{}'),
    recordedAt: '2026-11-20 10:00:00+00',
    ...more,
  };
}

/** A batch of events; what else the relay puts into one is nothing to these sinks. */
export function batchOf(...events: readonly OutboxEvent[]): SinkBatch {
  const logged = events.map((event) => ({ event }) as LoggedEvent);
  return { events: logged } as unknown as SinkBatch;
}

/** Events with these payloads, in order. */
export function payloads(...texts: readonly (string | Buffer)[]): SinkBatch {
  return batchOf(...texts.map((text) => outboxEvent({ payload: Buffer.from(text) })));
}
