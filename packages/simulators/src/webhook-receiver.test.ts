import { createHash } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WebhookReceiver } from './webhook-receiver.ts';

let receiver: WebhookReceiver;
beforeEach(async () => {
  receiver = await WebhookReceiver.start({ keepBodies: true });
});
afterEach(async () => {
  await receiver.close();
});

const post = async (body: string, signal?: AbortSignal): Promise<Response> =>
  await fetch(`${receiver.url}hook?x=1`, {
    method: 'POST',
    body,
    headers: { 'webhook-id': 'msg_1' },
    redirect: 'manual',
    ...(signal === undefined ? {} : { signal }),
  });

test('what arrives is written down', async () => {
  expect((await post('{"a":1.0}')).status).toBe(200);
  const sha256 = createHash('sha256').update('{"a":1.0}').digest('hex');
  await receiver.until(([request]) => request?.status === 200);
  const [request] = receiver.requests;
  expect(request).toMatchObject({
    order: 0,
    method: 'POST',
    path: '/hook?x=1',
    id: 'msg_1',
    sha256,
    bytes: 9,
  });
  expect(request?.body?.toString()).toBe('{"a":1.0}');
  expect(request?.arrivedAt).toBeLessThanOrEqual(request?.answeredAt ?? 0);
});

test('answers come in the order in which they were set, then the script decides', async () => {
  receiver.answerWith(() => ({ type: 'status', status: 204 }));
  receiver.answerNext(
    { type: 'status', status: 503, headers: { 'retry-after': '1' }, body: 'no', delayMs: 1 },
    { type: 'redirect', status: 307, location: 'http://127.0.0.1/' },
  );
  const first = await post('1');
  expect([first.status, first.headers.get('retry-after'), await first.text()]).toEqual([503, '1', 'no']);
  expect([(await post('2')).status, (await post('3')).status]).toEqual([307, 204]);
});

test('a reset, a hang, an endless body', async () => {
  receiver.answerNext({ type: 'reset' });
  await expect(post('1')).rejects.toThrow();
  receiver.answerNext({ type: 'hang' });
  const control = new AbortController();
  const hung = post('2', control.signal);
  await receiver.until((requests) => requests.length === 2);
  control.abort();
  await expect(hung).rejects.toThrow();
  expect(receiver.requests[1]).toMatchObject({ answeredAt: null, status: null });
  for (const type of ['huge-body', 'slow-body'] as const) {
    receiver.answerNext({ type, status: 200, intervalMs: 1 });
    const response = await post('3');
    const reader = response.body?.getReader();
    let bytes = 0;
    while (bytes < (type === 'huge-body' ? 1_000_000 : 3))
      bytes += (await reader?.read())?.value?.length ?? 0;
    await reader?.cancel();
  }
});

test('until ends with its signal, and close ends what is open', async () => {
  await expect(receiver.until(() => false, { signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
  receiver.answerNext({ type: 'hang' });
  const hung = post('1').catch(() => 'ended');
  await receiver.until((requests) => requests.length === 1);
  await receiver.close();
  expect(await hung).toBe('ended');
  receiver = await WebhookReceiver.start();
});
