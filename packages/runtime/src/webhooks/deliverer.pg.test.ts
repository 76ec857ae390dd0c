import { createHash } from 'node:crypto';
import { type Answer, type ReceivedRequest, WebhookReceiver } from '@event-runtime/simulators';
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import type { LoggedEvent } from '../log/outbox-event.ts';
import { stressService } from '../testing/service-stress.ts';
import { Deliverer } from './deliverer.ts';
import type { DelivererOptions } from './deliverer-options.ts';
import type { AttemptObservation, DeliveryObservation } from './delivery-observation.ts';
import { messageId } from './message-id.ts';
import { type Emitted, WebhookFixture } from './webhook-fixture.suite.ts';

const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');
const eventId = (request: ReceivedRequest): string => request.headers['ce-id'] ?? '';
const entity = (request: ReceivedRequest): string => request.headers['ce-entitykey'] ?? '';
const ok: Answer = { type: 'status', status: 200 };
const unavailable: Answer = { type: 'status', status: 503, body: 'not\u0000 now' };

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let fixture: WebhookFixture;
  let receiver: WebhookReceiver;
  const running: Deliverer[] = [];

  beforeAll(async () => {
    fixture = await WebhookFixture.create(inject('postgres')[major]);
  });
  afterAll(async () => {
    await fixture[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    receiver = await WebhookReceiver.start({ keepBodies: true });
  });
  afterEach(async () => {
    await Promise.all(running.splice(0).map((deliverer) => deliverer.stop({ graceMs: 0 })));
    await receiver.close();
    await fixture.rows('delete from event_runtime.webhook_application');
    await fixture.rows('delete from event_runtime.dead_letter');
  });

  function deliverer(options: Partial<DelivererOptions> = {}): Deliverer {
    const { queue, guard, secretBox } = fixture;
    const made = new Deliverer({
      queue,
      guard,
      secretBox,
      retry: { delaysMs: [20, 20, 20], jitter: 0 },
      ...options,
    });
    running.push(made);
    return made;
  }
  async function endpoint(
    options: { url?: string; ordering?: 'entity' | 'endpoint' | 'none' } = {},
  ): Promise<{
    endpointId: string;
    secret: string;
  }> {
    return await fixture.endpoints.create({
      tenantId: 'acme',
      url: receiver.url,
      eventTypes: ['*'],
      ...options,
    });
  }
  async function publish(events: readonly Emitted[], wake?: Deliverer): Promise<LoggedEvent[]> {
    return await fixture.publish(events, fixture.sink({ onFanOut: () => wake?.wake() }));
  }
  const emptied = async (): Promise<void> => {
    await fixture.until('not exists (select from event_runtime.webhook_delivery)');
  };

  test('the bytes arrive as emitted, signed so that the independent library verifies them', async () => {
    const { secret } = await endpoint();
    const payloads = [
      '{"a":1.0,"b":9007199254740993}',
      '{"a":1,"a":2}',
      ' \n{ "space" :\t[1 , 2]}  ',
      '"\\u0000 and 😀 and \\ud83d\\ude00 é"',
      'null',
      `{"large":"${'0123456789abcdef'.repeat(5 * 65_536)}"}`,
    ];
    const working = deliverer();
    await working.start();
    const logged = await publish(
      payloads.map((payload) => ({ payload })),
      working,
    );
    await emptied();
    expect(receiver.requests.map((request) => request.sha256)).toEqual(payloads.map(sha256));
    for (const [at, request] of receiver.requests.entries()) {
      const event = logged[at]!.event;
      expect(request.method).toBe('POST');
      expect(request.headers).toMatchObject({
        'webhook-id': messageId(event.eventId),
        'ce-id': event.eventId,
        'idempotency-key': event.eventId,
        'ce-seq': String(event.seq),
      });
      const body = request.body!;
      expect(() => new Webhook(secret).verify(body, { ...request.headers })).not.toThrow();
      expect(() =>
        new Webhook(secret).verify(Buffer.concat([body, Buffer.from(' ')]), { ...request.headers }),
      ).toThrow();
    }
  });

  test('woken, it delivers at once and not at the next poll', async () => {
    await endpoint();
    const working = deliverer({ pollMs: 60_000 });
    await working.start();
    for (let round = 1; round <= 3; round += 1) {
      await publish([{}], working);
      await receiver.until((requests) => requests.length === round);
    }
  });

  test('without a wake the poll finds it, also while other work goes on', async () => {
    await endpoint();
    const busy = await endpoint();
    await fixture.endpoints.disable({ tenantId: 'acme', endpointId: busy.endpointId, reason: 'later' });
    const working = deliverer({ pollMs: 30 });
    await working.start();
    await publish([{}]);
    await receiver.until((requests) => requests.length === 1);
  });

  test('a retry keeps the id, counts, and holds back its own entity only', async () => {
    const { endpointId } = await endpoint();
    const seen: DeliveryObservation[] = [];
    receiver.answerWith((request) =>
      entity(request) === 'a' && receiver.requests.filter((each) => entity(each) === 'a').length <= 2
        ? unavailable
        : ok,
    );
    const working = deliverer({ observe: (observation) => seen.push(observation), pollMs: 60_000 });
    await working.start();
    const logged = await publish(
      [
        { entityKey: 'a', payload: '1' },
        { entityKey: 'a', payload: '2' },
        { entityKey: 'b', payload: '3' },
        { entityKey: 'a', payload: '4' },
        { entityKey: null, payload: '5' },
      ],
      working,
    );
    await emptied();
    const ids = logged.map(({ event }) => event.eventId);
    const arrived = receiver.requests.map(eventId);
    expect(arrived.filter((id) => [ids[0], ids[1], ids[3]].includes(id))).toEqual([
      ids[0],
      ids[0],
      ids[0],
      ids[1],
      ids[3],
    ]);
    // b and the one without an entity did not wait for the second attempt at a.
    const second = arrived.indexOf(ids[0]!, arrived.indexOf(ids[0]!) + 1);
    expect(arrived.indexOf(ids[2]!)).toBeLessThan(second);
    expect(arrived.indexOf(ids[4]!)).toBeLessThan(second);
    expect(new Set(receiver.requests.map((request) => request.id)).size).toBe(5);
    expect(
      await fixture.rows(
        `select attempt, outcome, status_code, error_code, response_excerpt from event_runtime.webhook_attempt
         where endpoint_id = $1 and event_id = $2 order by attempt`,
        [endpointId, ids[0]],
      ),
    ).toEqual([
      {
        attempt: 1,
        outcome: 'retrying',
        status_code: 503,
        error_code: 'ER4007',
        response_excerpt: 'not\u{fffd} now',
      },
      {
        attempt: 2,
        outcome: 'retrying',
        status_code: 503,
        error_code: 'ER4007',
        response_excerpt: 'not\u{fffd} now',
      },
      { attempt: 3, outcome: 'delivered', status_code: 200, error_code: null, response_excerpt: null },
    ]);
    const attempts = seen.filter((one): one is AttemptObservation => one.type !== 'cycle-failed');
    expect(
      attempts.filter((one) => one.eventId === ids[0]).map((one) => [one.type, one.attempt, one.retryInMs]),
    ).toEqual([
      ['retrying', 1, 20],
      ['retrying', 2, 20],
      ['delivered', 3, null],
    ]);
    for (const one of attempts) {
      expect(one.recordedAt).toBe(logged[ids.indexOf(one.eventId)]!.event.recordedAt);
      expect(one.claimedAt).toBeLessThanOrEqual(one.sentAt);
      expect(one.sentAt).toBeLessThanOrEqual(one.answeredAt);
    }
  });

  test('after the last attempt: a dead letter with payload and reason, and the entity goes on', async () => {
    await endpoint();
    const payload = '{"n":1.0}';
    receiver.answerWith((request) => (request.sha256 === sha256(payload) ? { type: 'reset' } : ok));
    const working = deliverer({ retry: { delaysMs: [5, 5], jitter: 0 }, pollMs: 60_000 });
    await working.start();
    const [dead, next] = await publish(
      [
        { entityKey: 'a', payload },
        { entityKey: 'a', payload: '2' },
      ],
      working,
    );
    await emptied();
    expect(receiver.requests.map(eventId)).toEqual([
      ...Array(3).fill(dead!.event.eventId),
      next!.event.eventId,
    ]);
    expect(
      await fixture.rows(
        'select event_id, attempts, reason_code, payload::text, entity_key, tenant_id from event_runtime.dead_letter',
      ),
    ).toEqual([
      {
        event_id: dead!.event.eventId,
        attempts: 3,
        reason_code: 'ER4006',
        payload,
        entity_key: 'a',
        tenant_id: 'acme',
      },
    ]);
  });

  test('Retry-After is honoured', async () => {
    await endpoint();
    receiver.answerNext({ type: 'status', status: 429, headers: { 'retry-after': '3600' } });
    const working = deliverer({ pollMs: 10 });
    await working.start();
    await publish([{}], working);
    await fixture.until(
      `exists (select from event_runtime.webhook_delivery where state = 'retrying'
               and next_attempt_at between now() + interval '59 min' and now() + interval '61 min')`,
    );
  });

  test('an endpoint that hangs is given up in time and keeps no other waiting', async () => {
    const hung = await WebhookReceiver.start({ answer: () => ({ type: 'hang' }) });
    await endpoint({ url: hung.url, ordering: 'none' });
    await endpoint();
    const working = deliverer({
      inFlight: 8,
      inFlightPerEndpoint: 4,
      held: 40,
      heldPerEndpoint: 10,
      requestTimeoutMs: 60_000,
      pollMs: 60_000,
    });
    await working.start();
    await publish(
      Array.from({ length: 60 }, (_, at) => ({ entityKey: `k${at}` })),
      working,
    );
    await receiver.until((requests) => requests.length === 60);
    expect(hung.requests.length).toBeLessThanOrEqual(4);
    await working.stop({ graceMs: 0 });
    await hung.close();
  });

  test('a request that takes too long is a failure, an endless answer is not', async () => {
    const { endpointId } = await endpoint();
    receiver.answerNext({ type: 'hang' }, { type: 'huge-body', status: 200 });
    const working = deliverer({ requestTimeoutMs: 100, pollMs: 60_000 });
    await working.start();
    await publish([{}], working);
    await emptied();
    expect(
      await fixture.rows(
        'select outcome, error_code, status_code from event_runtime.webhook_attempt where endpoint_id = $1 order by attempt',
        [endpointId],
      ),
    ).toEqual([
      { outcome: 'retrying', error_code: 'ER4005', status_code: null },
      { outcome: 'delivered', error_code: null, status_code: 200 },
    ]);
  });

  test('a disabled endpoint gets nothing', async () => {
    const { endpointId } = await endpoint();
    await publish([{ payload: '1' }]);
    await fixture.endpoints.disable({ tenantId: 'acme', endpointId, reason: 'test' });
    const other = await endpoint();
    const working = deliverer();
    await working.start();
    await publish([{ payload: '2' }], working);
    await receiver.until((requests) => requests.length === 1);
    await working.stop();
    expect(receiver.requests.map((request) => request.body?.toString())).toEqual(['2']);
    expect(await fixture.rows('select endpoint_id from event_runtime.webhook_delivery')).toEqual([
      { endpoint_id: endpointId },
    ]);
    expect(other.endpointId).not.toBe(endpointId);
  });

  test('an address that is not allowed is a failure of that delivery, told by its code', async () => {
    const { endpointId } = await endpoint();
    await fixture.rows('update event_runtime.webhook_endpoint set url = $1', [
      'http://169.254.169.254/latest',
    ]);
    const seen: DeliveryObservation[] = [];
    const working = deliverer({ observe: (one) => seen.push(one), retry: { delaysMs: [] } });
    await working.start();
    await publish([{}], working);
    await emptied();
    expect(seen).toMatchObject([
      { type: 'dead', errorCode: 'ER4002', endpointId, origin: 'http://169.254.169.254' },
    ]);
  });

  test('two deliverers at once: nothing twice, nothing out of order, one at a time for each entity', async () => {
    await endpoint();
    const pool = fixture.newPool();
    let [underWay, most] = [new Map<string, number>(), 0];
    receiver.answerWith(async (request) => {
      const key = entity(request);
      underWay.set(key, (underWay.get(key) ?? 0) + 1);
      most = Math.max(most, underWay.get(key)!);
      await new Promise((resolve) => setImmediate(resolve));
      underWay.set(key, underWay.get(key)! - 1);
      return ok;
    });
    const both = [deliverer({ held: 40, pollMs: 5 }), deliverer({ held: 40, pollMs: 5 })];
    await Promise.all(both.map((each) => each.start()));
    const expected = new Map<string, string[]>();
    for (let round = 0; round < 6; round += 1) {
      const events = Array.from({ length: 50 }, (_, at) => ({ entityKey: `k${(at * 7 + round) % 9}` }));
      for (const { event } of await publish(events, both[round % 2])) {
        expected.set(event.entityKey!, [...(expected.get(event.entityKey!) ?? []), event.eventId]);
      }
    }
    await emptied();
    const arrived = new Map<string, string[]>();
    for (const request of receiver.requests) {
      arrived.set(entity(request), [...(arrived.get(entity(request)) ?? []), eventId(request)]);
    }
    expect(arrived).toEqual(expected);
    expect(most).toBe(1);
    underWay = new Map();
    await Promise.all(both.map((each) => each.stop()));
    await pool.end();
  });

  test('property: under random failures each event arrives, and first arrivals are in order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('ok', 'ok', 'ok', 'fail', 'reset'), { minLength: 30, maxLength: 60 }),
        fc.array(fc.nat(3), { minLength: 10, maxLength: 30 }),
        async (fates, keys) => {
          const { endpointId } = await endpoint();
          const begin = receiver.requests.length;
          let turn = 0;
          receiver.answerWith(() => {
            const fate = fates[turn++ % fates.length];
            if (fate === 'reset') return { type: 'reset' };
            return fate === 'fail' ? unavailable : ok;
          });
          const delaysMs = Array.from({ length: 60 }, () => 2);
          const both = [1, 2].map(() => deliverer({ retry: { delaysMs }, pollMs: 5, held: 8 }));
          await Promise.all(both.map((each) => each.start()));
          const logged = await publish(
            keys.map((key) => ({ entityKey: `k${key}` })),
            both[0],
          );
          await emptied();
          await Promise.all(both.map((each) => each.stop()));
          for (const key of new Set(keys)) {
            const sent = logged
              .filter(({ event }) => event.entityKey === `k${key}`)
              .map(({ event }) => event.eventId);
            const mine = receiver.requests.slice(begin).filter((request) => entity(request) === `k${key}`);
            expect([...new Set(mine.map(eventId))]).toEqual(sent);
            // A later one is never tried before the earlier one has been taken.
            const taken = mine.filter((request) => request.status === 200).map(eventId);
            expect(taken).toEqual(sent);
          }
          await fixture.rows('delete from event_runtime.webhook_endpoint where endpoint_id = $1', [
            endpointId,
          ]);
        },
      ),
      {
        numRuns: 12,
        ...(process.env['FC_SEED'] === undefined ? {} : { seed: Number(process.env['FC_SEED']) }),
      },
    );
  });

  test('stopped: requests under way are finished and settled, the rest is free for the next', async () => {
    await endpoint();
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    receiver.answerWith(async () => {
      await held;
      return ok;
    });
    const working = deliverer();
    await working.start();
    const logged = await publish([{ entityKey: 'a' }, { entityKey: 'a' }, { entityKey: 'b' }], working);
    await receiver.until((requests) => requests.length === 2);
    const stopped = working.stop();
    // What is released is written while the requests are still under way.
    await fixture.until(`exists (select from event_runtime.webhook_delivery where claimed_by is null)`);
    release();
    await stopped;
    expect(receiver.requests).toHaveLength(2);
    expect(
      await fixture.rows('select event_id, claimed_by, attempts from event_runtime.webhook_delivery'),
    ).toEqual([{ event_id: logged[1]!.event.eventId, claimed_by: null, attempts: 0 }]);
  });

  test('dropped with requests under way: the lease runs out, and the next one delivers them', async () => {
    await endpoint();
    receiver.answerNext({ type: 'hang' });
    const first = deliverer({ leaseMs: 300 });
    await first.start();
    const [logged] = await publish([{ entityKey: 'a' }, { entityKey: 'a' }], first);
    await receiver.until((requests) => requests.length === 1);
    await first.stop({ graceMs: 0 });
    expect(
      await fixture.rows('select from event_runtime.webhook_delivery where claimed_by is not null'),
    ).not.toEqual([]);
    const second = deliverer({ pollMs: 10 });
    await second.start();
    await emptied();
    expect(receiver.requests.map(eventId).slice(0, 2)).toEqual([
      logged!.event.eventId,
      logged!.event.eventId,
    ]);
    expect(receiver.requests).toHaveLength(3);
  });

  test('takeOver: a restart does not wait for the lease', async () => {
    await endpoint();
    receiver.answerNext({ type: 'hang' });
    const first = deliverer({ leaseMs: 3_600_000 });
    await first.start();
    await publish([{}], first);
    await receiver.until((requests) => requests.length === 1);
    await first.stop({ graceMs: 0 });
    const second = deliverer({ takeOver: true, pollMs: 60_000 });
    await second.start();
    await emptied();
    expect(receiver.requests).toHaveLength(2);
  });

  test('a long request keeps its lease, so nobody else sends it', async () => {
    await endpoint();
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    receiver.answerWith(async () => {
      await held;
      return ok;
    });
    const first = deliverer({ leaseMs: 300, pollMs: 10 });
    const second = deliverer({ leaseMs: 300, pollMs: 10 });
    await first.start();
    await publish([{}], first);
    await receiver.until((requests) => requests.length === 1);
    const [claimed] = await fixture.rows<{ until: Date }>(
      'select claimed_until as until from event_runtime.webhook_delivery',
    );
    await second.start();
    await fixture.until(`clock_timestamp() > $1::timestamptz + interval '100 ms'`, [claimed!.until]);
    expect(receiver.requests).toHaveLength(1);
    release();
    await emptied();
    expect(receiver.requests).toHaveLength(1);
  });

  test('the database goes away and comes back: nothing is lost, nothing of an entity is reordered', async () => {
    await endpoint();
    const pool = fixture.newPool();
    const seen: DeliveryObservation[] = [];
    const working = deliverer({ pollMs: 10, leaseMs: 500, observe: (one) => seen.push(one) });
    await working.start();
    const all: string[] = [];
    for (let round = 0; round < 8; round += 1) {
      const logged = await publish(
        Array.from({ length: 20 }, () => ({ entityKey: 'a' })),
        working,
      );
      all.push(...logged.map(({ event }) => event.eventId));
      await fixture.rows(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`,
      );
    }
    await emptied();
    expect([...new Set(receiver.requests.map(eventId))]).toEqual(all);
    expect(seen.filter((one) => one.type === 'cycle-failed').length).toBeGreaterThan(0);
    await pool.end();
  });

  test('invariants of every service', async () => {
    await endpoint();
    await publish(Array.from({ length: 5 }, () => ({})));
    await stressService(
      () => {
        const { queue, guard, secretBox } = fixture;
        return new Deliverer({ queue, guard, secretBox, pollMs: 5 });
      },
      {
        rounds: 30,
        leaked: () => (fixture.pool.totalCount > fixture.pool.idleCount ? 'a connection' : undefined),
      },
    );
  });
});
