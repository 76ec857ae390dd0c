import { FaultProxy } from '@event-runtime/simulators';
import pg from 'pg';
import { describe, expect, inject, test } from 'vitest';
import type { LoggedEvent } from '../log/outbox-event.ts';
import { sinkConformance } from '../testing/sink-conformance/sink-conformance.ts';
import type { SinkSite } from '../testing/sink-conformance/sink-site.ts';
import { WebhookFixture } from './webhook-fixture.suite.ts';

const features = { order: true, dedupe: true, ownCheckpoint: true };

describe('the fan-out is a sink', () => {
  // Whose lease it is, the database says, when the checkpoint is written.
  const without = ['envelope', 'lease', 'poison'] as const;
  test.each(sinkConformance({ create, features, without, flightMs: 200 }))('$name', async ({ run }) => {
    await expect(run()).resolves.toBeUndefined();
  });
});

/** Deliveries to one endpoint of each tenant, in the order in which they are posted. */
async function create(): Promise<SinkSite> {
  const fixture = await WebhookFixture.create(inject('postgres')['18']);
  await fixture.claim();
  const { url } = fixture.database;
  const proxy = await FaultProxy.start({ target: new URL(url) });
  const tenants = new Set<string>();
  // The time limit of a database that hangs is the pool's, as in the relay, where it is longer.
  const limits = { connectionTimeoutMillis: 5_000, query_timeout: 5_000 };
  const pool = new pg.Pool({ connectionString: proxy.url(url), max: 2, ...limits });
  pool.on('error', () => undefined);
  return {
    open: async () => fixture.sink({ pool }),
    async prepare(events) {
      for (const tenantId of events.map(({ event }) => event.tenantId)) {
        if (tenants.has(tenantId)) continue;
        tenants.add(tenantId);
        await fixture.endpoints.create({ tenantId, url: 'http://127.0.0.1:9/', eventTypes: ['*'] });
      }
      await write(fixture, events);
    },
    async received() {
      const rows = await fixture.rows<{ id: string; payload: string }>(
        `select d.event_id as id, o.payload::text as payload
           from event_runtime.webhook_delivery d join event_runtime.outbox o on o.event_id = d.event_id
          order by d.delivery_id`,
      );
      return rows.map(({ id, payload }) => ({ attributes: { id }, data: Buffer.from(payload) }));
    },
    outage: {
      async begin() {
        proxy.refuse();
        proxy.cut();
      },
      end: async () => await proxy.accept(),
      freeze: async () => proxy.stall(),
      thaw: async () => await proxy.heal(),
    },
    async [Symbol.asyncDispose]() {
      await pool.end();
      await proxy[Symbol.asyncDispose]();
      await fixture[Symbol.asyncDispose]();
    },
  };
}

/** The rows themselves, which the fan-out does not copy. */
async function write(fixture: WebhookFixture, events: readonly LoggedEvent[]): Promise<void> {
  const of = <T>(value: (event: LoggedEvent['event']) => T): T[] => events.map(({ event }) => value(event));
  await fixture.rows(
    `insert into event_runtime.outbox (event_id, tenant_id, event_type, entity_key, payload, recorded_at)
     select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::json[], $6::timestamptz[])`,
    [
      of(({ eventId }) => eventId),
      of(({ tenantId }) => tenantId),
      of(({ eventType }) => eventType),
      of(({ entityKey }) => entityKey),
      of(({ payload }) => payload.toString()),
      of(({ recordedAt }) => recordedAt),
    ],
  );
}
