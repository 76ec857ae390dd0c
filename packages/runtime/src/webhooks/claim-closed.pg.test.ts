import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { endpointOf } from '../dead-letters/dead-letter-fixture.suite.ts';
import { pagesOfClaim } from './claim-pages.suite.ts';
import { WebhookFixture } from './webhook-fixture.suite.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let fixture: WebhookFixture;
  beforeAll(async () => {
    fixture = await WebhookFixture.create(inject('postgres')[major]);
  });
  afterAll(async () => {
    await fixture[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await fixture.rows('delete from event_runtime.webhook_application');
  });

  /** Deliveries that are pending, so many for each of these endpoints, in turn. */
  async function pending(endpoints: readonly string[], each: number): Promise<void> {
    await fixture.rows(
      `insert into event_runtime.webhook_delivery (tenant_id, endpoint_id, event_id, event_recorded_at, seq, entity_key)
       select 'acme', e, gen_random_uuid(), now(), n, 'k' || n % 7
         from generate_series(1, $2::int) n, unnest($1::uuid[]) with ordinality as x (e, place) order by n, place`,
      [endpoints, each],
    );
    await fixture.rows('vacuum analyze event_runtime.webhook_delivery');
  }

  async function closed(): Promise<string> {
    const endpointId = await endpointOf(fixture);
    await fixture.endpoints.disable({ tenantId: 'acme', endpointId, reason: 'r' });
    return endpointId;
  }

  /** Like the first endpoint, so many. */
  async function others(count: number): Promise<string[]> {
    await endpointOf(fixture);
    const rows = await fixture.rows<{ id: string }>(
      `insert into event_runtime.webhook_endpoint (tenant_id, application_id, url, secret)
       select e.tenant_id, e.application_id, e.url, e.secret
         from (select tenant_id, application_id, url, secret from event_runtime.webhook_endpoint limit 1) e,
              generate_series(1, $1::int) returning endpoint_id as id`,
      [count],
    );
    return rows.map(({ id }) => id);
  }

  test('what is pending of an endpoint that is disabled costs the claims of others no more, however much it is', async () => {
    const endpoint = await closed();
    const [open = ''] = await others(3);
    await pending([endpoint], 3_000);
    await pending([open], 50);
    const few = await pagesOfClaim(fixture);
    await fixture.rows('delete from event_runtime.webhook_delivery where endpoint_id = $1', [open]);
    await pending([endpoint], 30_000);
    await pending([open], 50);
    const many = await pagesOfClaim(fixture);
    expect(many).toBeLessThanOrEqual(2 * few);
  });

  test.each([
    ['what is near', 1, 700],
    ['each endpoint', 3, 30],
    ['each endpoint', 998, 3],
    ['the whole queue', 999, 3],
  ])(
    'behind those of endpoints that are disabled or left out all are claimed, in order: by %s, of %i',
    async (_, count, each) => {
      const disabled = await closed();
      const endpoints = await others(count + 1);
      const crowded = endpoints.pop() ?? '';
      await pending([disabled, crowded], each === 700 ? 100 : 1_500);
      await pending(endpoints, each);
      const seen: string[] = [];
      for (let more = true; more; ) {
        const claim = await fixture.queue.claim({
          claimerId: randomUUID(),
          leaseMs: 60_000,
          limit: 1_000,
          limitPerEndpoint: 20,
          maxBytes: 1e9,
          exceptEndpoints: [crowded],
        });
        const ids = claim.deliveries.map(({ deliveryId }) => Number(deliveryId));
        expect(ids).toEqual(ids.toSorted((a, b) => a - b));
        seen.push(...claim.deliveries.map(({ deliveryId }) => deliveryId));
        // Those behind are free once these are gone.
        await fixture.rows(
          'delete from event_runtime.webhook_delivery where delivery_id = any ($1::bigint[])',
          [claim.deliveries.map(({ deliveryId }) => deliveryId)],
        );
        ({ more } = claim);
      }
      expect(new Set(seen).size).toBe(count * each);
      const left = await fixture.rows<{ endpoint: string }>(
        'select distinct endpoint_id as endpoint from event_runtime.webhook_delivery',
      );
      expect(left.map(({ endpoint }) => endpoint).toSorted()).toEqual([disabled, crowded].toSorted());
    },
  );
});
