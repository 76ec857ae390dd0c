import { randomUUID } from 'node:crypto';
import type { ClaimedDelivery, Settlement } from '../webhooks/delivery-queue.ts';
import type { Emitted, WebhookFixture } from '../webhooks/webhook-fixture.suite.ts';

/** Everything that is due, claimed by one claimer. */
export async function claimAll(
  fixture: WebhookFixture,
  claimerId: string = randomUUID(),
): Promise<readonly ClaimedDelivery[]> {
  const limits = { limit: 1_000, limitPerEndpoint: 1_000, maxBytes: 1e9, exceptEndpoints: [] };
  return (await fixture.queue.claim({ claimerId, leaseMs: 60_000, ...limits })).deliveries;
}

export function settled(
  delivery: ClaimedDelivery,
  outcome: Settlement['outcome'],
  reason = 'ER4007 The status is 503.',
): Settlement {
  const errorCode = outcome === 'delivered' ? null : 'ER4007';
  return { delivery, outcome, retryInMs: 3_600_000, errorCode, reason: errorCode === null ? null : reason };
}

/** Publishes events, and gives up on all that is due. */
export async function kill(
  fixture: WebhookFixture,
  events: readonly Emitted[],
  reasons: readonly string[] = [],
): Promise<void> {
  await fixture.publish(events);
  const deliveries = await claimAll(fixture);
  await fixture.queue.settle(deliveries.map((each, index) => settled(each, 'dead', reasons[index])));
}

/** The ids of all letters, in the order of their events. */
export async function letterIds(fixture: WebhookFixture): Promise<string[]> {
  const rows = await fixture.rows<{ id: string }>(
    'select dead_letter_id as id from event_runtime.dead_letter order by seq, dead_letter_id',
  );
  return rows.map(({ id }) => id);
}

/** An endpoint of tenant acme that takes everything. */
export async function endpointOf(
  fixture: WebhookFixture,
  options: { readonly ordering?: 'entity' | 'endpoint' | 'none'; readonly tenantId?: string } = {},
): Promise<string> {
  const url = 'http://127.0.0.1:9/';
  const made = { tenantId: 'acme', url, eventTypes: ['*'], ...options };
  return (await fixture.endpoints.create(made)).endpointId;
}

/** A letter of a sink that is not of webhooks, as it is left by that sink. */
export async function sinkLetter(
  fixture: WebhookFixture,
  given: { readonly seq: number; readonly entityKey?: string; readonly reasonCode?: string },
): Promise<string> {
  const { seq, entityKey = 'e', reasonCode = 'rejected' } = given;
  const [row] = await fixture.rows<{ id: string }>(
    `insert into event_runtime.dead_letter
       (tenant_id, sink, event_id, event_recorded_at, seq, entity_key, event_type, reason_code, reason, attempts, payload,
        event_version)
     values ('acme', 'nats', gen_random_uuid(), now(), $1, $2, 'thing.happened', $3, 'no', 1, '{}', 1)
     returning dead_letter_id as id`,
    [seq, entityKey, reasonCode],
  );
  return row?.id ?? '';
}
