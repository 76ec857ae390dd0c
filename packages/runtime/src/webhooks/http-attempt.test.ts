import { randomUUID } from 'node:crypto';
import { WebhookReceiver } from '@event-runtime/simulators';
import { Agent } from 'undici';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OutboxEvent } from '../log/outbox-event.ts';
import { requestHeaders } from './delivery-request.ts';
import { type AttemptOutcome, type AttemptRequest, attemptDelivery } from './http-attempt.ts';
import { messageId } from './message-id.ts';
import { newSecret } from './signature.ts';

let receiver: WebhookReceiver;
let agent: Agent;

beforeEach(async () => {
  receiver = await WebhookReceiver.start({ keepBodies: true });
  agent = new Agent({ allowH2: false });
});
afterEach(async () => {
  await agent.destroy();
  await receiver.close();
});

async function attempt(changes: Partial<AttemptRequest> = {}): Promise<AttemptOutcome> {
  return await attemptDelivery({
    url: new URL(receiver.url),
    headers: {},
    body: Buffer.from('{}'),
    dispatcher: agent,
    timeoutMs: 5_000,
    maxResponseBytes: 1_000,
    signal: new AbortController().signal,
    ...changes,
  });
}

describe('the status decides', () => {
  test.each([200, 201, 202, 204, 299])('%i is a delivery', async (status) => {
    receiver.answerNext({ type: 'status', status });
    expect(await attempt()).toMatchObject({ status, error: null, responseExcerpt: null });
  });

  test.each([304, 400, 404, 410, 429, 500, 503])('%i is a failure with an excerpt', async (status) => {
    receiver.answerNext({ type: 'status', status, body: status === 304 ? '' : 'no\u0000t today' });
    const outcome = await attempt();
    expect(outcome).toMatchObject({ status, error: { code: 'ER4007' } });
    expect(outcome.responseExcerpt).toBe(status === 304 ? null : 'no\u0000t today');
  });

  test.each([301, 302, 303, 307, 308] as const)('%i is a failure and not followed', async (status) => {
    receiver.answerNext({ type: 'redirect', status, location: `${receiver.url}elsewhere` });
    expect(await attempt()).toMatchObject({ status, error: { code: 'ER4007' } });
    expect(receiver.requests.map((request) => request.path)).toEqual(['/']);
  });

  test('Retry-After is read from a failure', async () => {
    receiver.answerNext({ type: 'status', status: 503, headers: { 'retry-after': '7' } });
    expect(await attempt()).toMatchObject({ retryAfterMs: 7_000 });
  });
});

describe('an endpoint that misbehaves costs a bounded time and memory', () => {
  test('no answer: ER4005 at the limit', async () => {
    receiver.answerNext({ type: 'hang' });
    const outcome = await attempt({ timeoutMs: 100 });
    expect(outcome).toMatchObject({ status: null, error: { code: 'ER4005' } });
  });

  test('an endless body: cut off, the status counts, the connection goes', async () => {
    for (const status of [200, 500]) {
      receiver.answerNext({ type: 'huge-body', status });
      // It is the size that ends it.
      const outcome = await attempt({ maxResponseBytes: 2_000, timeoutMs: 3_600_000 });
      expect(outcome.status).toBe(status);
      expect(outcome.responseExcerpt?.length ?? null).toBe(status === 200 ? null : 1_000);
    }
    receiver.answerNext({ type: 'status', status: 200 });
    expect((await attempt()).status).toBe(200);
  });

  test('a body without end that trickles: cut off at the limit, the status counts', async () => {
    receiver.answerNext({ type: 'slow-body', status: 200, intervalMs: 10 });
    expect(await attempt({ timeoutMs: 150 })).toMatchObject({ status: 200, error: null });
  });

  test('a reset, and nobody there: ER4006', async () => {
    receiver.answerNext({ type: 'reset' });
    expect(await attempt()).toMatchObject({ status: null, error: { code: 'ER4006' } });
    const { url } = receiver;
    await receiver.close();
    expect(await attempt({ url: new URL(url) })).toMatchObject({ error: { code: 'ER4006' } });
  });

  test('let go of from outside: it ends at once and is no timeout', async () => {
    receiver.answerNext({ type: 'hang' });
    const control = new AbortController();
    const outcome = attempt({ signal: control.signal });
    await receiver.until((requests) => requests.length === 1);
    control.abort();
    expect(await outcome).toMatchObject({ error: { code: 'ER4006' } });
    expect(await attempt({ signal: AbortSignal.abort() })).toMatchObject({ error: { code: 'ER4006' } });
  });
});

describe('the request', () => {
  const event: OutboxEvent = {
    eventId: randomUUID(),
    seq: 9_007_199_254_740_993n,
    tenantId: 'acme\r\nx-injected: yes',
    ecosystem: null,
    eventType: 'claim.approved "x" %41 é 😀',
    eventVersion: 2,
    entityKey: 'a\u0000b',
    idempotencyKey: null,
    correlationId: null,
    causationId: null,
    sourceService: null,
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    headers: '{"webhooksignature":"forged","region":"s\\u00e3o\\npaulo"}',
    payload: Buffer.from('{"a":1.0,"a":9007199254740993}'),
    recordedAt: '2026-11-20 10:00:00.123456+00',
  };

  test('hostile values arrive percent-encoded, and replace no header of ours', async () => {
    const headers = requestHeaders(event, { secrets: [newSecret()], now: 1_700_000_000_999 });
    expect((await attempt({ headers, body: event.payload })).error).toBeNull();
    const got = receiver.requests[0]?.headers ?? {};
    expect(got['x-injected']).toBeUndefined();
    expect(got).toMatchObject({
      'ce-tenant': 'acme%0D%0Ax-injected:%20yes',
      'ce-type': 'claim.approved%20%22x%22%20%2541%20%C3%A9%20%F0%9F%98%80',
      'ce-entitykey': 'a%00b',
      'ce-seq': '9007199254740993',
      'ce-hwebhooksignature': 'forged',
      'ce-hregion': 's%C3%A3o%0Apaulo',
      'idempotency-key': event.eventId,
      'webhook-id': messageId(event.eventId),
      'webhook-timestamp': '1700000000',
      traceparent: event.traceparent,
      'content-type': 'application/json',
    });
    expect(got['webhook-signature']).toMatch(/^v1,/);
    expect(got['user-agent']).toMatch(/^event-runtime\/\d+\.\d+\.\d+/);
    expect(receiver.requests[0]?.body?.equals(event.payload)).toBe(true);
  });

  test('what cannot be a header is ER4008, not a crash', async () => {
    expect(await attempt({ headers: { 'x-bad': 'line\nbreak' } })).toMatchObject({
      error: { code: 'ER4008' },
    });
  });
});
