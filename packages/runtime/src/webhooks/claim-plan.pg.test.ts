import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type Explained, explained } from '../log/log-fixture.suite.ts';
import { DeliveryQueue } from './delivery-queue.ts';
import { WebhookFixture } from './webhook-fixture.suite.ts';

const claimed = 50;

/** What reading what was claimed makes PostgreSQL do, by EXPLAIN (ANALYZE) of the statement that the connection has. */
describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let fixture: WebhookFixture;
  let pool: pg.Pool;
  const seen: Explained[] = [];
  beforeAll(async () => {
    fixture = await WebhookFixture.create(inject('postgres')[major]);
    // Statistics come when the test asks for them.
    await fixture.rows('alter table event_runtime.webhook_delivery set (autovacuum_enabled = off)');
    // One connection: it keeps the plans that it has made.
    pool = newPool();
  });
  afterAll(async () => {
    await pool.end();
    await fixture[Symbol.asyncDispose]();
  });

  function newPool(): pg.Pool {
    const options = '-c role=event_runtime_service';
    const made = new pg.Pool({
      connectionString: fixture.database.url,
      options,
      max: 1,
      idleTimeoutMillis: 0,
    });
    made.on('connect', explainReading);
    return made;
  }

  /** Behind each reading, in its transaction, with its settings and its plan: what did that do? */
  function explainReading(client: pg.PoolClient): void {
    const query = client.query.bind(client) as (...values: readonly unknown[]) => Promise<pg.QueryResult>;
    const explaining = async (...values: readonly unknown[]): Promise<pg.QueryResult> => {
      const result = await query(...values);
      const sent = values[0] as pg.QueryConfig;
      if (sent.name !== 'webhooks-read-claimed') return result;
      const [ids, claimerId] = sent.values as [readonly string[], string];
      const again = await query(
        `explain (analyze, costs off, timing off, format json)
         execute "${sent.name}" ('{${ids.join(',')}}', '${claimerId}')`,
      );
      seen.push(explained(again));
      return result;
    };
    Object.assign(client, { query: explaining });
  }

  /** Claims, and frees what it has claimed. */
  async function claim(on: pg.Pool): Promise<Explained | undefined> {
    const limits = { limit: claimed, limitPerEndpoint: claimed, maxBytes: 1_000_000, exceptEndpoints: [] };
    const { deliveries } = await new DeliveryQueue({ pool: on }).claim({
      claimerId: randomUUID(),
      leaseMs: 60_000,
      ...limits,
    });
    expect(deliveries).toHaveLength(claimed);
    await fixture.queue.takeOver();
    return seen.at(-1);
  }

  test('a queue that was small and is large is not read as a whole for what was claimed', async () => {
    const endpoint = { tenantId: 'acme', url: 'http://127.0.0.1:9/', eventTypes: ['*'] };
    await fixture.endpoints.create({ ...endpoint, ordering: 'none' });
    await fixture.publish(Array.from({ length: claimed }, () => ({})));
    await fixture.rows('analyze event_runtime.webhook_delivery');
    // Often enough for a plan that is made once and for all.
    for (let times = 0; times < 8; times += 1) await claim(pool);
    await fixture.rows(
      `insert into event_runtime.webhook_delivery (tenant_id, endpoint_id, event_id, event_recorded_at, seq)
       select d.tenant_id, d.endpoint_id, gen_random_uuid(), d.event_recorded_at, d.seq + g
         from (select tenant_id, endpoint_id, event_recorded_at, seq from event_runtime.webhook_delivery
                order by delivery_id desc limit 1) d, generate_series(1, 30000) g`,
    );
    const small = async (on: pg.Pool): Promise<void> => {
      const did = await claim(on);
      expect(did?.tables).toContain('webhook_delivery');
      // Of each delivery: its row, its endpoint's, its event's.
      expect(did?.visited).toBeLessThanOrEqual(4 * claimed);
    };
    // By the plan of before; by one that is made now with the statistics of before; and with those of now.
    await small(pool);
    const other = newPool();
    try {
      await small(other);
      await fixture.rows('analyze event_runtime.webhook_delivery');
      await small(other);
      await small(pool);
    } finally {
      await other.end();
    }
  });
});
