import { randomUUID } from 'node:crypto';
import { FaultProxy } from '@event-runtime/simulators';
import pg from 'pg';
import { describe, expect, inject, test } from 'vitest';
import type { LoggedEvent, OutboxEvent } from '../log/outbox-event.ts';
import { sinkConformance } from '../testing/sink-conformance/sink-conformance.ts';
import type { ReceivedEvent, SinkSite } from '../testing/sink-conformance/sink-site.ts';
import { requestHeaders } from './delivery-request.ts';
import { newSecret } from './signature.ts';
import { WebhookFixture } from './webhook-fixture.suite.ts';

const secret = newSecret();

const features = { order: true, dedupe: true, ownCheckpoint: true };

describe('the fan-out is a sink', () => {
  // Whose lease it is, the database says, when the checkpoint is written.
  const without = ['lease', 'poison'] as const;
  test.each(sinkConformance({ create, features, without, flightMs: 200 }))('$name', async ({ run }) => {
    await expect(run()).resolves.toBeUndefined();
  });
});

/** The requests to one endpoint of each tenant, in the order in which they would be sent. */
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
  const posted: ReceivedEvent[] = [];
  let posting = Promise.resolve();
  const post = async (): Promise<void> => {
    posting = posting.then(async () => await postAll(fixture, posted));
    await posting;
  };
  return {
    async open() {
      const sink = fixture.sink({ pool });
      return {
        name: sink.name,
        features: sink.features,
        async deliver(batch, options) {
          const results = await sink.deliver(batch, options);
          // While an event is on its way, a replay that brings it makes no delivery of its own.
          await post();
          return results;
        },
        [Symbol.asyncDispose]: async () => await sink[Symbol.asyncDispose](),
      };
    },
    async prepare(events) {
      for (const tenantId of events.map(({ event }) => event.tenantId)) {
        if (tenants.has(tenantId)) continue;
        tenants.add(tenantId);
        await fixture.endpoints.create({ tenantId, url: 'http://127.0.0.1:9/', eventTypes: ['*'] });
      }
      await write(fixture, events);
    },
    async received() {
      await post();
      return [...posted];
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

/** Makes the requests of all that is pending, as a deliverer does, and takes them for delivered. */
async function postAll(fixture: WebhookFixture, posted: ReceivedEvent[]): Promise<void> {
  const all = { limit: 1_000, limitPerEndpoint: 1_000, maxBytes: 100_000_000, exceptEndpoints: [] };
  for (;;) {
    const { deliveries } = await fixture.queue.claim({ claimerId: randomUUID(), leaseMs: 60_000, ...all });
    if (deliveries.length === 0) return;
    for (const { event } of deliveries) if (event !== null) posted.push(requestOf(event));
    await fixture.queue.settle(
      deliveries.map((delivery) => ({ delivery, outcome: 'delivered', status: 204 })),
    );
  }
}

/** What a receiver makes of the request. */
function requestOf(event: OutboxEvent): ReceivedEvent {
  const attributes: Record<string, string> = {};
  const headers = requestHeaders(event, { secrets: [secret], now: Date.now() });
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith('ce-')) attributes[name.slice(3)] = decodeURIComponent(value);
    else if (name === 'traceparent') attributes[name] = value;
  }
  return { attributes, data: event.payload };
}

/** The rows themselves, which the fan-out does not copy. */
async function write(fixture: WebhookFixture, events: readonly LoggedEvent[]): Promise<void> {
  const of = <T>(value: (event: LoggedEvent['event']) => T): T[] => events.map(({ event }) => value(event));
  await fixture.rows(
    `insert into event_runtime.outbox (event_id, seq, tenant_id, ecosystem, event_type, event_version, entity_key,
       correlation_id, causation_id, source_service, traceparent, headers, payload, recorded_at)
     overriding system value
     select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::int[], $7::text[],
       $8::text[], $9::text[], $10::text[], $11::text[], $12::json[], $13::json[], $14::timestamptz[])`,
    [
      of(({ eventId }) => eventId),
      of(({ seq }) => seq.toString()),
      of(({ tenantId }) => tenantId),
      of(({ ecosystem }) => ecosystem),
      of(({ eventType }) => eventType),
      of(({ eventVersion }) => eventVersion),
      of(({ entityKey }) => entityKey),
      of(({ correlationId }) => correlationId),
      of(({ causationId }) => causationId),
      of(({ sourceService }) => sourceService),
      of(({ traceparent }) => traceparent),
      of(({ headers }) => headers),
      of(({ payload }) => payload.toString()),
      of(({ recordedAt }) => recordedAt),
    ],
  );
}
