import assert from 'node:assert/strict';
import { entityOf, type LoggedEvent } from '../../log/outbox-event.ts';
import { allAttributes } from '../../sinks/envelope.ts';
import type { DeliveryResult, SinkFeatures } from '../../sinks/sink.ts';
import type { ReceivedEvent } from './sink-site.ts';

/**
 * One result for each event, each as it must be, and nothing of an entity delivered behind what is to be retried.
 *
 * @throws AssertionError
 */
export function checkResults(batch: readonly LoggedEvent[], results: readonly DeliveryResult[]): void {
  assert.equal(
    results.length,
    batch.length,
    `${batch.length} events were handed over, ${results.length} results came back`,
  );
  const waiting = new Set<string>();
  for (const [index, { event }] of batch.entries()) {
    const result = results[index] as DeliveryResult;
    checkResult(result);
    const entity = entityOf(event);
    if (entity === undefined) continue;
    if (result.type === 'retry') waiting.add(entity);
    assert.ok(
      result.type !== 'delivered' || !waiting.has(entity),
      `event ${index} of the batch was delivered although an earlier one of its entity is to be retried`,
    );
  }
}

/** As it comes from a sink that no compiler has looked at. */
function checkResult(result: DeliveryResult): void {
  switch (result.type) {
    case 'delivered':
      break;
    case 'retry':
      // Anything else is no time: the relay would hand it over again at once, and again.
      assert.ok(
        Number.isFinite(result.afterMs) && result.afterMs >= 0,
        `afterMs of a retry is ${result.afterMs}, which is no time`,
      );
      assert.ok(result.error instanceof Error, 'the error of a retry is no Error');
      break;
    case 'rejected':
      assert.equal(typeof result.reason, 'string', 'the reason of a rejection is no text');
      assert.ok(
        result.error === undefined || result.error instanceof Error,
        'the error of a rejection is no Error',
      );
      break;
    default:
      result satisfies never;
      assert.fail(`a result is ${JSON.stringify(result)}`);
  }
}

/** What was handed over is as it was: another sink, or the next try, is given the same. @throws AssertionError */
export function checkUnchanged(handed: readonly LoggedEvent[], events: readonly LoggedEvent[]): void {
  const changed = events.filter(
    ({ event }, index) => handed[index]?.event.payload.equals(event.payload) !== true,
  );
  assert.equal(changed.length, 0, `the payloads of ${changed.length} events were changed in place`);
}

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
    const wanted = allAttributes(event);
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
