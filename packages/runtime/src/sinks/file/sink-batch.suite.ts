import type { LoggedEvent, OutboxEvent } from '../../log/outbox-event.ts';
import { bareEvent as outboxEvent } from '../../testing/sink-conformance/conformance-events.ts';
import type { SinkBatch } from '../sink.ts';

export { outboxEvent };

/** A batch of events; what else the relay puts into one is nothing to these sinks. */
export function batchOf(...events: readonly OutboxEvent[]): SinkBatch {
  const logged = events.map((event) => ({ event }) as LoggedEvent);
  return { events: logged } as unknown as SinkBatch;
}

/** Events with these payloads, in order. */
export function payloads(...texts: readonly (string | Buffer)[]): SinkBatch {
  return batchOf(...texts.map((text) => outboxEvent({ payload: Buffer.from(text) })));
}
