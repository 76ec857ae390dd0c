import { describe, expect, inject, test } from 'vitest';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { pagesOfClaim } from './claim-pages.suite.ts';
import type { Ordering } from './endpoints.ts';
import { WebhookFixture } from './webhook-fixture.suite.ts';

const [pending, delivered] = [50, 5_000];

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  test.each<Ordering>(['entity', 'endpoint', 'none'])(
    'ordering %s: what was delivered while a snapshot is held elsewhere is gone through once by a claim, not for each row',
    async (ordering) => {
      await using fixture = await WebhookFixture.create(inject('postgres')[major]);
      const endpoint = { tenantId: 'acme', url: 'http://127.0.0.1:9/', eventTypes: ['*'], ordering };
      await fixture.endpoints.create(endpoint);
      const holder = await fixture.database.connect();
      await holder.query('begin isolation level repeatable read');
      await holder.query('select 1');
      const publish = async (): Promise<void> => {
        await fixture.publish(Array.from({ length: pending }, () => ({ entityKey: 'hot' })));
      };
      await publish();
      const before = await pagesOfClaim(fixture);
      await fixture.rows('delete from event_runtime.webhook_delivery');
      // The life of a delivery: inserted, claimed, deleted. None of these rows can be cleared away.
      await fixture.rows(
        `insert into event_runtime.webhook_delivery (tenant_id, endpoint_id, event_id, event_recorded_at, seq, entity_key)
       select 'acme', endpoint_id, gen_random_uuid(), now(), g, 'hot'
         from event_runtime.webhook_endpoint, generate_series(1, ${delivered}) g`,
      );
      await fixture.rows(
        `update event_runtime.webhook_delivery set state = 'claimed', claimed_by = gen_random_uuid(), claimed_until = now()`,
      );
      await fixture.rows('delete from event_runtime.webhook_delivery');
      await publish();
      const held = await pagesOfClaim(fixture);
      // Each claim goes through what is gone: that much is so. For each row of it that would be 50 times as much.
      expect(held - before).toBeLessThanOrEqual(delivered);
      await holder.query('rollback');
      // A slot that another test makes may still see it for a while.
      const after = await eventually(
        async () => {
          await fixture.rows('vacuum event_runtime.webhook_delivery');
          return await pagesOfClaim(fixture);
        },
        (found) => found <= 2 * before,
      );
      console.log(JSON.stringify({ major, ordering, before, held, after }));
      expect(after).toBeLessThanOrEqual(2 * before);
    },
  );
});
