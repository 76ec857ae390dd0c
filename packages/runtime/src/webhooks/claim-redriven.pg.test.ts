import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { claimAll, endpointOf } from '../dead-letters/dead-letter-fixture.suite.ts';
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

  /** Deliveries of letters that are redriven, so many for each of these endpoints. */
  async function redriven(endpoints: readonly string[], each: number): Promise<void> {
    await fixture.rows(
      `insert into event_runtime.webhook_delivery
         (delivery_id, tenant_id, endpoint_id, event_id, event_recorded_at, seq, entity_key)
       overriding system value
       select -row_number() over (), 'acme', e, gen_random_uuid(), now(), n, 'k' || n
         from unnest($1::uuid[]) e, generate_series(1, $2::int) n`,
      [endpoints, each],
    );
  }

  test('letters of an endpoint that is disabled cost the claims of others nothing', async () => {
    const endpointId = await endpointOf(fixture);
    const entities = Array.from({ length: 50 }, (_, n) => ({ entityKey: `e${n}` }));
    await endpointOf(fixture);
    await fixture.endpoints.disable({ tenantId: 'acme', endpointId, reason: 'r' });
    await fixture.publish(entities);
    const before = await pagesOfClaim(fixture);
    await redriven([endpointId], 20_000);
    await fixture.rows('vacuum analyze event_runtime.webhook_delivery');
    expect(await pagesOfClaim(fixture)).toBeLessThanOrEqual(2 * before);
    await fixture.endpoints.enable({ tenantId: 'acme', endpointId });
    expect((await claimAll(fixture)).every(({ deliveryId }) => deliveryId.startsWith('-'))).toBe(true);
    await fixture.rows('delete from event_runtime.webhook_application');
  });

  test.each([3, 64, 65, 90])('of %i endpoints letters are claimed, before what is pending', async (count) => {
    const endpoints: string[] = [];
    for (let n = 0; n < count; n += 1) endpoints.push(await endpointOf(fixture));
    const [closed = ''] = endpoints;
    await fixture.endpoints.disable({ tenantId: 'acme', endpointId: closed, reason: 'r' });
    await redriven(endpoints, 2);
    await fixture.publish([{ entityKey: 'k1' }]);
    const claimed = await claimAll(fixture);
    const expected = (count - 1) * 3;
    expect(claimed).toHaveLength(expected);
    const ids = claimed.map(({ deliveryId }) => Number(deliveryId));
    expect(ids).toEqual(ids.toSorted((a, b) => a - b));
    expect(ids.filter((id) => id < 0)).toHaveLength((count - 1) * 2);
    expect(claimed.some(({ endpointId }) => endpointId === closed)).toBe(false);
    await fixture.rows('delete from event_runtime.webhook_application');
  });
});
