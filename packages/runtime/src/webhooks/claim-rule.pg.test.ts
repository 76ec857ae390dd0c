import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { ClaimedDelivery } from './delivery-queue.ts';
import type { Ordering } from './endpoints.ts';
import { WebhookFixture } from './webhook-fixture.suite.ts';

/** A row as the rule's words see it. */
interface Row {
  readonly id: number;
  readonly endpoint: number;
  readonly key: string | null;
  claimer: number | null;
  live: boolean;
  due: boolean;
}

const orderings: readonly Ordering[] = ['entity', 'endpoint', 'none'];

/** The naive model: walks each group from its beginning, and stops where somebody else is, or something waits. */
function claimable(rows: readonly Row[], me: number): Row[] {
  const stopped = new Set<string>();
  return rows.filter((row) => {
    const ordering = orderings[row.endpoint];
    let group = `#${row.id}`;
    if (ordering === 'endpoint') group = `${row.endpoint}`;
    if (ordering === 'entity' && row.key !== null) group = `${row.endpoint}/${row.key}`;
    if (stopped.has(group)) return false;
    if (row.claimer === me) return false;
    if ((row.claimer !== null && row.live) || !row.due) {
      stopped.add(group);
      return false;
    }
    return true;
  });
}

const command = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('add' as const),
      endpoint: fc.nat(2),
      key: fc.constantFrom('a', 'b', null),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('claim' as const),
      claimer: fc.nat(2),
      limit: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('settle' as const),
      claimer: fc.nat(2),
      outcomes: fc.array(fc.constantFrom('delivered', 'retrying', 'dead', 'released', 'keep'), {
        minLength: 1,
        maxLength: 5,
      }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('expire' as const), claimer: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('renew' as const), claimer: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('due' as const), pick: fc.nat() }) },
);

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let fixture: WebhookFixture;
  const endpointIds: string[] = [];
  beforeAll(async () => {
    fixture = await WebhookFixture.create(inject('postgres')[major]);
    for (const ordering of orderings) {
      const make = { tenantId: 'acme', url: 'http://127.0.0.1:9/', eventTypes: ['*'], ordering };
      endpointIds.push((await fixture.endpoints.create(make)).endpointId);
    }
  });
  afterAll(async () => {
    await fixture[Symbol.asyncDispose]();
  });

  test('property: the claiming statement does what the naive model does, under any history', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 40 }), async (commands) => {
        await fixture.rows('delete from event_runtime.webhook_delivery');
        const claimers = [randomUUID(), randomUUID(), randomUUID()];
        let rows: Row[] = [];
        const hands: Array<Map<number, ClaimedDelivery>> = claimers.map(() => new Map());
        for (const each of commands) {
          switch (each.kind) {
            case 'add': {
              const [added] = await fixture.rows<{ id: string }>(
                `insert into event_runtime.webhook_delivery
                   (tenant_id, endpoint_id, event_id, event_recorded_at, seq, entity_key)
                 values ('acme', $1, $2, now(), 1, $3) returning delivery_id as id`,
                [endpointIds[each.endpoint], randomUUID(), each.key],
              );
              rows.push({
                id: Number(added!.id),
                endpoint: each.endpoint,
                key: each.key,
                claimer: null,
                live: false,
                due: true,
              });
              break;
            }
            case 'claim': {
              const expected = claimable(rows, each.claimer).slice(0, each.limit);
              const { deliveries } = await fixture.queue.claim({
                claimerId: claimers[each.claimer]!,
                leaseMs: 3_600_000,
                limit: each.limit,
                limitPerEndpoint: 100,
                maxBytes: 1_000,
                exceptEndpoints: [],
              });
              expect(deliveries.map((delivery) => Number(delivery.deliveryId))).toEqual(
                expected.map((row) => row.id),
              );
              for (const row of expected) Object.assign(row, { claimer: each.claimer, live: true });
              for (const delivery of deliveries)
                hands[each.claimer]!.set(Number(delivery.deliveryId), delivery);
              break;
            }
            case 'settle': {
              const hand = [...hands[each.claimer]!.entries()];
              const chosen = each.outcomes
                .map((outcome, at) => ({ outcome, held: hand[at] }))
                .filter(({ outcome, held }) => outcome !== 'keep' && held !== undefined);
              const stored = await fixture.queue.settle(
                chosen.map(({ outcome, held }) => ({
                  delivery: held![1],
                  outcome: outcome as 'delivered',
                  retryInMs: 3_600_000,
                  errorCode: 'ER4007',
                })),
              );
              for (const { outcome, held } of chosen) {
                const [id] = held!;
                hands[each.claimer]!.delete(id);
                const row = rows.find((one) => one.id === id && one.claimer === each.claimer);
                expect(stored.has(String(id))).toBe(row !== undefined);
                if (row === undefined) continue;
                if (outcome === 'delivered' || outcome === 'dead') rows = rows.filter((one) => one !== row);
                else
                  Object.assign(row, {
                    claimer: null,
                    live: false,
                    due: outcome === 'released' ? row.due : false,
                  });
              }
              break;
            }
            case 'expire':
              await fixture.rows(
                `update event_runtime.webhook_delivery set claimed_until = now() - interval '1 s' where claimed_by = $1`,
                [claimers[each.claimer]],
              );
              for (const row of rows) if (row.claimer === each.claimer) row.live = false;
              break;
            case 'renew':
              await fixture.queue.renew({ claimerId: claimers[each.claimer]!, leaseMs: 3_600_000 });
              for (const row of rows) if (row.claimer === each.claimer) row.live = true;
              break;
            case 'due': {
              const waiting = rows.filter((row) => !row.due);
              const row = waiting[each.pick % Math.max(1, waiting.length)];
              if (row === undefined) break;
              await fixture.rows(
                `update event_runtime.webhook_delivery set next_attempt_at = now() where delivery_id = $1`,
                [row.id],
              );
              row.due = true;
              break;
            }
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});
