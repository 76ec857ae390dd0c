import assert from 'node:assert/strict';
import { entityOf, type LoggedEvent } from '../../log/outbox-event.ts';
import { envelopeAttributes } from '../../sinks/envelope.ts';
import type { SinkFeatures } from '../../sinks/sink.ts';
import type { ReceivedEvent } from './sink-site.ts';

export interface Expected {
  readonly events: readonly LoggedEvent[];
  readonly features: SinkFeatures;
}

/**
 * All of the events are there and nothing else, each payload as it was, each entity in order, and none twice where the
 * sink says so. Elsewhere an event may come again: what counts for the order is when each came first.
 *
 * @throws AssertionError
 */
export function checkReceived(received: readonly ReceivedEvent[], { events, features }: Expected): void {
  const wanted = new Map(events.map((logged) => [logged.event.eventId, logged]));
  const first = new Map<string, number>();
  for (const [index, one] of received.entries()) {
    const id = one.attributes['id'] ?? '';
    const logged = wanted.get(id);
    assert.ok(logged !== undefined, `the destination has an event that was never handed over: ${id}`);
    assert.ok(
      one.data.equals(logged.event.payload),
      `the payload of an event is not the one that was handed over: ${shown(one.data)} for ${shown(logged.event.payload)}`,
    );
    if (!first.has(id)) first.set(id, index);
    else assert.ok(!features.dedupe, `the destination has an event twice: ${id}`);
  }
  const missing = events.filter(({ event }) => !first.has(event.eventId));
  assert.equal(missing.length, 0, `${missing.length} of ${events.length} events are not at the destination`);
  if (features.order) checkOrder(events, first);
}

function checkOrder(events: readonly LoggedEvent[], places: ReadonlyMap<string, number>): void {
  const last = new Map<string, { readonly place: number; readonly seq: bigint }>();
  for (const { event } of events) {
    const entity = entityOf(event);
    if (entity === undefined) continue;
    const place = places.get(event.eventId) ?? -1;
    const before = last.get(entity);
    assert.ok(
      before === undefined || before.place < place,
      `entity ${event.entityKey}: seq ${event.seq} is at the destination before seq ${before?.seq}`,
    );
    last.set(entity, { place, seq: event.seq });
  }
}

/** Every attribute of the envelope, and the producer's headers, came as they were. @throws AssertionError */
export function checkEnvelope(received: readonly ReceivedEvent[], events: readonly LoggedEvent[]): void {
  const byId = new Map(received.map((one) => [one.attributes['id'], one.attributes]));
  for (const { event } of events) {
    const wanted = Object.fromEntries(envelopeAttributes(event));
    if (event.traceparent !== null) wanted['traceparent'] = event.traceparent;
    const own = event.headers === null ? {} : (JSON.parse(event.headers) as Record<string, string>);
    for (const [name, value] of Object.entries(own)) wanted[`h${name}`] = value;
    const found = byId.get(event.eventId) ?? {};
    for (const [name, value] of Object.entries(wanted)) {
      assert.equal(found[name], value, `attribute ${name} of an event`);
    }
  }
}

function shown(bytes: Buffer): string {
  return bytes.length <= 60
    ? bytes.toString()
    : `${bytes.subarray(0, 60).toString()}… (${bytes.length} bytes)`;
}
