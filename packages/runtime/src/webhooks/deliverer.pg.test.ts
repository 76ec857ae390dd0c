import { createHash } from 'node:crypto';
import { type Answer, WebhookReceiver } from '@event-runtime/simulators';
import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { entityOfRequest, eventIdOfRequest, useDelivererBench } from './deliverer-fixture.suite.ts';
import type { AttemptObservation, DeliveryObservation } from './delivery-observation.ts';
import { messageId } from './message-id.ts';

const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');
const ok: Answer = { type: 'status', status: 200 };
const unavailable: Answer = { type: 'status', status: 503, body: 'not\u0000 now' };

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  const bench = useDelivererBench(major);

  test('the bytes arrive as emitted, signed so that the independent library verifies them', async () => {
    const { receiver, deliverer, endpoint, publish, emptied } = bench();
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
    const { receiver, deliverer, endpoint, publish } = bench();
    await endpoint();
    const working = deliverer({ pollMs: 60_000 });
    await working.start();
    for (let round = 1; round <= 3; round += 1) {
      await publish([{}], working);
      await receiver.until((requests) => requests.length === round);
    }
    expect(receiver.requests).toHaveLength(3);
  });

  test('without a wake the poll finds it', async () => {
    const { receiver, deliverer, endpoint, publish } = bench();
    await endpoint();
    const working = deliverer({ pollMs: 30 });
    await working.start();
    await publish([{}]);
    await receiver.until((requests) => requests.length === 1);
    expect(receiver.requests).toHaveLength(1);
  });

  test('a retry keeps the id, counts, and holds back its own entity only', async () => {
    const { webhooks, receiver, deliverer, endpoint, publish, emptied } = bench();
    const { endpointId } = await endpoint();
    const seen: DeliveryObservation[] = [];
    receiver.answerWith((request) =>
      entityOfRequest(request) === 'a' &&
      receiver.requests.filter((each) => entityOfRequest(each) === 'a').length <= 2
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
    const arrived = receiver.requests.map(eventIdOfRequest);
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
      await webhooks.rows(
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
    const { webhooks, receiver, deliverer, endpoint, publish, emptied } = bench();
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
    expect(receiver.requests.map(eventIdOfRequest)).toEqual([
      ...Array(3).fill(dead!.event.eventId),
      next!.event.eventId,
    ]);
    expect(
      await webhooks.rows(
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
    const { webhooks, receiver, deliverer, endpoint, publish } = bench();
    await endpoint();
    receiver.answerNext({ type: 'status', status: 429, headers: { 'retry-after': '3600' } });
    const working = deliverer({ pollMs: 10 });
    await working.start();
    await publish([{}], working);
    await webhooks.until(
      `exists (select from event_runtime.webhook_delivery where state = 'retrying'
               and next_attempt_at between now() + interval '59 min' and now() + interval '61 min')`,
    );
    expect(receiver.requests).toHaveLength(1);
  });

  test('an endpoint that hangs is given up in time and keeps no other waiting', async () => {
    const { receiver, deliverer, endpoint, publish } = bench();
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
    const { webhooks, receiver, deliverer, endpoint, publish, emptied } = bench();
    const { endpointId } = await endpoint();
    receiver.answerNext({ type: 'hang' }, { type: 'huge-body', status: 200 });
    const working = deliverer({ requestTimeoutMs: 100, pollMs: 60_000 });
    await working.start();
    await publish([{}], working);
    await emptied();
    expect(
      await webhooks.rows(
        'select outcome, error_code, status_code from event_runtime.webhook_attempt where endpoint_id = $1 order by attempt',
        [endpointId],
      ),
    ).toEqual([
      { outcome: 'retrying', error_code: 'ER4005', status_code: null },
      { outcome: 'delivered', error_code: null, status_code: 200 },
    ]);
  });

  test('a disabled endpoint gets nothing', async () => {
    const { webhooks, receiver, deliverer, endpoint, publish } = bench();
    const { endpointId } = await endpoint();
    await publish([{ payload: '1' }]);
    await webhooks.endpoints.disable({ tenantId: 'acme', endpointId, reason: 'test' });
    const other = await endpoint();
    const working = deliverer();
    await working.start();
    await publish([{ payload: '2' }], working);
    await receiver.until((requests) => requests.length === 1);
    await working.stop();
    expect(receiver.requests.map((request) => request.body?.toString())).toEqual(['2']);
    expect(await webhooks.rows('select endpoint_id from event_runtime.webhook_delivery')).toEqual([
      { endpoint_id: endpointId },
    ]);
    expect(other.endpointId).not.toBe(endpointId);
  });

  test('an address that is not allowed is a failure of that delivery, told by its code', async () => {
    const { webhooks, deliverer, endpoint, publish, emptied } = bench();
    const { endpointId } = await endpoint();
    await webhooks.rows('update event_runtime.webhook_endpoint set url = $1', [
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
});
