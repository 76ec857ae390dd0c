import { randomBytes, randomUUID } from 'node:crypto';
import { FaultProxy } from '@event-runtime/simulators';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import {
  type Claim,
  type ClaimedDelivery,
  type ClaimOptions,
  DeliveryQueue,
  type Settlement,
} from './delivery-queue.ts';
import { lockForClaim } from './delivery-sql.ts';
import type { Ordering } from './endpoints.ts';
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

  const [me, other] = [randomUUID(), randomUUID()];

  async function endpoint(ordering: Ordering = 'entity'): Promise<string> {
    const make = { tenantId: 'acme', url: 'http://127.0.0.1:9/', eventTypes: ['*'], ordering };
    return (await fixture.endpoints.create(make)).endpointId;
  }

  const defaults: ClaimOptions = {
    claimerId: me,
    leaseMs: 60_000,
    limit: 100,
    limitPerEndpoint: 100,
    maxBytes: 1_000_000,
    exceptEndpoints: [],
  };

  async function claim(options: Partial<ClaimOptions> = {}): Promise<Claim> {
    return await fixture.queue.claim({ ...defaults, ...options });
  }

  const payloads = (deliveries: readonly ClaimedDelivery[]): Array<string | undefined> =>
    deliveries.map((delivery) => delivery.event?.payload.toString());
  const settled = (delivery: ClaimedDelivery, outcome: Settlement['outcome'] = 'delivered'): Settlement => ({
    delivery,
    outcome,
    retryInMs: 3_600_000,
    status: outcome === 'delivered' ? 200 : 500,
    errorCode: outcome === 'delivered' ? null : 'ER4007',
    reason: outcome === 'delivered' ? null : 'ER4007 why\u0000',
    responseExcerpt: outcome === 'delivered' ? null : 'no\u0000t',
    durationMs: 12.5,
    ageMs: 20,
  });
  const expire = async (claimerId: string): Promise<void> => {
    await fixture.rows(
      `update event_runtime.webhook_delivery set claimed_until = now() - interval '1 s' where claimed_by = $1`,
      [claimerId],
    );
  };

  test('a claim gives the event as it was emitted, in log order, and gives it once', async () => {
    const endpointId = await endpoint();
    const payload = ' {"a":1.0,"a":9007199254740993,"b":"\\u0000 😀"}\n';
    const [logged] = await fixture.publish([
      { payload, headers: '{"region":"sp"}', entityKey: 'k' },
      { payload: '2', entityKey: null },
    ]);
    const { deliveries, more } = await claim();
    expect(more).toBe(false);
    expect(payloads(deliveries)).toEqual([payload, '2']);
    expect(deliveries[0]).toMatchObject({
      endpointId,
      tenantId: 'acme',
      attempts: 0,
      group: `${endpointId}\u0000k`,
    });
    expect(deliveries[0]?.event).toEqual(logged!.event);
    expect(deliveries[1]?.group).toBeNull();
    expect((await claim()).deliveries).toEqual([]);
    expect((await claim({ claimerId: other })).deliveries).toEqual([]);
  });

  test('a settlement is stored with its attempt; delivered and dead leave the queue', async () => {
    const endpointId = await endpoint('none');
    await fixture.publish(['1', '2', '3', '4'].map((payload) => ({ payload, headers: '{"region":"sp"}' })));
    const { deliveries } = await claim();
    const [one, two, three, four] = deliveries as [
      ClaimedDelivery,
      ClaimedDelivery,
      ClaimedDelivery,
      ClaimedDelivery,
    ];
    const stored = await fixture.queue.settle([
      settled(one),
      settled(two, 'retrying'),
      settled(three, 'dead'),
      settled(four, 'released'),
    ]);
    expect(stored.size).toBe(4);
    expect(
      await fixture.rows(
        `select seq::int - $1 as nr, state, attempts, claimed_by, next_attempt_at > now() + interval '59 min' as waits,
                first_failed_at is not null as failed
         from event_runtime.webhook_delivery order by seq`,
        [Number(one.event!.seq)],
      ),
    ).toEqual([
      { nr: 1, state: 'retrying', attempts: 1, claimed_by: null, waits: true, failed: true },
      { nr: 3, state: 'pending', attempts: 0, claimed_by: null, waits: false, failed: false },
    ]);
    expect(
      await fixture.rows(
        `select event_id, attempt, outcome, status_code, error_code, duration_ms, response_excerpt,
                attempted_at between now() - interval '10 s' and now() as recent
         from event_runtime.webhook_attempt where endpoint_id = $1 order by outcome`,
        [endpointId],
      ),
    ).toEqual([
      {
        event_id: three.eventId,
        attempt: 1,
        outcome: 'dead',
        status_code: 500,
        error_code: 'ER4007',
        duration_ms: 12.5,
        response_excerpt: 'no\u{fffd}t',
        recent: true,
      },
      {
        event_id: one.eventId,
        attempt: 1,
        outcome: 'delivered',
        status_code: 200,
        error_code: null,
        duration_ms: 12.5,
        response_excerpt: null,
        recent: true,
      },
      {
        event_id: two.eventId,
        attempt: 1,
        outcome: 'retrying',
        status_code: 500,
        error_code: 'ER4007',
        duration_ms: 12.5,
        response_excerpt: 'no\u{fffd}t',
        recent: true,
      },
    ]);
    expect(
      await fixture.rows(
        `select event_id, sink, tenant_id, event_type, entity_key, attempts, reason_code, reason, payload::text,
                headers::text, first_failed_at is not null as failed
         from event_runtime.dead_letter where endpoint_id = $1`,
        [endpointId],
      ),
    ).toEqual([
      {
        ...{ event_id: three.eventId, sink: 'webhooks', tenant_id: 'acme', event_type: 'thing.happened' },
        ...{ entity_key: 'entity', attempts: 1, reason_code: 'ER4007', reason: 'ER4007 why\u{fffd}' },
        ...{ payload: '3', headers: '{"region":"sp"}', failed: true },
      },
    ]);
  });

  test('a retry holds back what follows in its entity, and nothing else', async () => {
    await endpoint();
    await fixture.publish([
      { entityKey: 'a', payload: '1' },
      { entityKey: 'b', payload: '2' },
    ]);
    const first = await claim();
    await fixture.queue.settle([settled(first.deliveries[0]!, 'retrying'), settled(first.deliveries[1]!)]);
    await fixture.publish([
      { entityKey: 'a', payload: '3' },
      { entityKey: 'b', payload: '4' },
      { entityKey: null, payload: '5' },
      { entityKey: null, tenantId: 'elsewhere', payload: '6' },
    ]);
    expect(payloads((await claim()).deliveries)).toEqual(['4', '5']);
    await fixture.rows('update event_runtime.webhook_delivery set next_attempt_at = now()');
    const due = await claim();
    expect(payloads(due.deliveries)).toEqual(['1', '3']);
    expect(due.deliveries[0]?.attempts).toBe(1);
  });

  test('ordering by endpoint holds back everything of it; ordering none holds back nothing', async () => {
    const strict = await endpoint('endpoint');
    const loose = await endpoint('none');
    await fixture.publish([{ entityKey: 'a' }, { entityKey: 'b' }]);
    const { deliveries } = await claim();
    const firsts = deliveries.slice(0, 2);
    expect(new Set(firsts.map((delivery) => delivery.endpointId))).toEqual(new Set([strict, loose]));
    await fixture.queue.settle(
      deliveries.map((delivery, at) => settled(delivery, at < 2 ? 'retrying' : 'released')),
    );
    expect((await claim()).deliveries.map((delivery) => delivery.endpointId)).toEqual([loose]);
  });

  test('a group stays with its claimer: others get nothing of it, the claimer gets more of it', async () => {
    await endpoint();
    await fixture.publish([{ entityKey: 'a', payload: '1' }]);
    expect(payloads((await claim()).deliveries)).toEqual(['1']);
    await fixture.publish([
      { entityKey: 'a', payload: '2' },
      { entityKey: 'b', payload: '3' },
    ]);
    expect(payloads((await claim({ claimerId: other })).deliveries)).toEqual(['3']);
    expect(payloads((await claim()).deliveries)).toEqual(['2']);
  });

  test('rows of a claimer whose lease ran out come back, and its settlements count no more', async () => {
    await endpoint();
    await fixture.publish([{ payload: '1' }, { payload: '2' }]);
    const lost = await claim({ claimerId: other });
    await expire(other);
    expect((await claim({ claimerId: other })).deliveries).toEqual([]);
    expect(payloads((await claim()).deliveries)).toEqual(['1', '2']);
    expect(await fixture.queue.settle(lost.deliveries.map((delivery) => settled(delivery)))).toEqual(
      new Set(),
    );
    expect(await fixture.rows('select from event_runtime.webhook_delivery')).toHaveLength(2);
  });

  test('a lease ends by itself, and a renewal prolongs it', async () => {
    await endpoint();
    await fixture.publish([{}]);
    await claim({ claimerId: other, leaseMs: 50 });
    await fixture.queue.renew({ claimerId: other, leaseMs: 60_000 });
    await fixture.rows('select pg_sleep(0.06)');
    expect((await claim()).deliveries).toEqual([]);
    await fixture.queue.renew({ claimerId: other, leaseMs: 1 });
    await fixture.rows('select pg_sleep(0.01)');
    expect((await claim()).deliveries).toHaveLength(1);
  });

  test('takeOver frees everything; keepOnly frees what the claimer does not know of', async () => {
    await endpoint('none');
    await fixture.publish([{ payload: '1' }, { payload: '2' }]);
    const { deliveries } = await claim();
    await fixture.queue.keepOnly({ claimerId: me, deliveryIds: [deliveries[0]!.deliveryId] });
    expect(payloads((await claim({ claimerId: other })).deliveries)).toEqual(['2']);
    await expect(fixture.queue.takeOver({ valid: () => false })).rejects.toMatchObject({ code: 'ER1207' });
    expect(await fixture.queue.takeOver()).toBe(2);
    expect(payloads((await claim({ claimerId: other })).deliveries)).toEqual(['1', '2']);
  });

  test('a claimer that is stopped while it is sent what it claimed does not keep the queue', async () => {
    await endpoint('none');
    const large = `"${randomBytes(1_000_000).toString('hex')}"`;
    await fixture.publish(Array.from({ length: 15 }, () => ({ payload: large })));
    await using proxy = await FaultProxy.start({ target: new URL(fixture.database.url) });
    const pool = new pg.Pool({ connectionString: proxy.url(fixture.database.url), max: 1 });
    pool.on('error', () => undefined);
    try {
      const stopped = new DeliveryQueue({ pool });
      const claiming = stopped.claim({ ...defaults, claimerId: other, maxBytes: 100_000_000 });
      await proxy.passed(1_000_000, { direction: 'toClient' });
      proxy.stall();
      await fixture.until(
        `exists (select from pg_stat_activity where wait_event = 'ClientWrite' and datname = current_database())`,
      );
      expect(await fixture.queue.takeOver()).toBe(15);
      await proxy.heal();
      expect((await claiming).deliveries).toHaveLength(15);
    } finally {
      await pool.end();
    }
  });

  test('limits cut at the end: by number, by endpoint, by bytes; more says that there is more', async () => {
    const first = await endpoint();
    const second = await endpoint();
    await fixture.publish([{ payload: '1' }, { payload: '2' }, { payload: '3' }]);
    const two = await claim({ limit: 2 });
    expect([payloads(two.deliveries), two.more]).toEqual([['1', '1'], true]);
    const perEndpoint = await claim({ limitPerEndpoint: 1 });
    expect([payloads(perEndpoint.deliveries), perEndpoint.more]).toEqual([['2', '2'], true]);
    const one = await claim({ exceptEndpoints: [first] });
    expect([one.deliveries.map((delivery) => delivery.endpointId), one.more]).toEqual([[second], false]);
    await fixture.queue.takeOver();
    await fixture.rows('delete from event_runtime.webhook_delivery');
    const large = `"${'x'.repeat(100_000)}"`;
    await fixture.publish([{ payload: large }, { payload: '2' }]);
    const alone = await claim({ maxBytes: 1_000, exceptEndpoints: [second] });
    expect([payloads(alone.deliveries), alone.more]).toEqual([[large], true]);
  });

  test('a disabled endpoint gets nothing, and what was pending when it is enabled', async () => {
    const endpointId = await endpoint();
    await fixture.publish([{ payload: '1' }]);
    await fixture.endpoints.disable({ tenantId: 'acme', endpointId, reason: 'test' });
    await fixture.publish([{ payload: '2' }]);
    expect((await claim()).deliveries).toEqual([]);
    await fixture.endpoints.enable({ tenantId: 'acme', endpointId });
    expect(payloads((await claim()).deliveries)).toEqual(['1']);
  });

  test('an event that is gone from the outbox: claimed without it, and dead with what is known', async () => {
    await endpoint();
    const [logged] = await fixture.publish([{}]);
    await fixture.rows('delete from event_runtime.outbox where event_id = $1', [logged!.event.eventId]);
    const { deliveries } = await claim();
    expect(deliveries[0]?.event).toBeNull();
    await fixture.queue.settle([settled(deliveries[0]!, 'dead')]);
    expect(
      await fixture.rows('select event_type from event_runtime.dead_letter where event_id = $1', [
        logged!.event.eventId,
      ]),
    ).toEqual([{ event_type: 'unknown' }]);
  });

  test('a claim waits for the claim before it, and then sees what that one took', async () => {
    await endpoint();
    await fixture.publish([{ payload: '1' }, { payload: '2' }]);
    const before = await fixture.database.connect();
    await before.query('begin');
    await before.query(lockForClaim);
    await before.query(
      `update event_runtime.webhook_delivery
       set state = 'claimed', claimed_by = $1, claimed_until = now() + interval '1 h'`,
      [other],
    );
    const waiting = claim();
    await fixture.until(`exists (select from pg_locks where locktype = 'advisory' and not granted)`);
    await before.query('commit');
    expect((await waiting).deliveries).toEqual([]);
  });

  test.each(['settle', 'renew'] as const)('%s waits for a claim under way', async (what) => {
    await endpoint();
    await fixture.publish([{}]);
    const { deliveries } = await claim();
    const before = await fixture.database.connect();
    await before.query('begin');
    await before.query(lockForClaim);
    const waiting =
      what === 'settle'
        ? fixture.queue.settle([settled(deliveries[0]!, 'retrying')])
        : fixture.queue.renew({ claimerId: me, leaseMs: 60_000 });
    await fixture.until(`exists (select from pg_locks where locktype = 'advisory' and not granted)`);
    await before.query('commit');
    await expect(waiting).resolves.not.toThrow();
  });

  test('many claimers at once: nobody gets what another has, and no group is split', async () => {
    await endpoint();
    const events = Array.from({ length: 120 }, (_, at) => ({ entityKey: `k${at % 7}`, payload: String(at) }));
    await fixture.publish(events);
    const pool = fixture.newPool();
    const queues = [fixture.queue, new DeliveryQueue({ pool })];
    const claims = await Promise.all(
      Array.from({ length: 16 }, async (_, at) => {
        const claimerId = randomUUID();
        const options = {
          leaseMs: 60_000,
          limit: 11,
          limitPerEndpoint: 11,
          maxBytes: 1_000_000,
          exceptEndpoints: [],
        };
        return (await queues[at % 2]!.claim({ claimerId, ...options })).deliveries;
      }),
    );
    await pool.end();
    const owner = new Map<string, number>();
    for (const [claimer, deliveries] of claims.entries()) {
      for (const { group } of deliveries) {
        expect(owner.get(group!) ?? claimer).toBe(claimer);
        owner.set(group!, claimer);
      }
    }
    const all = claims.flat().map((delivery) => delivery.deliveryId);
    expect(new Set(all).size).toBe(all.length);
    expect(all.length).toBeGreaterThan(10);
  });
});
