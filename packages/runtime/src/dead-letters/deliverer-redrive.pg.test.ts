import { WebhookReceiver } from '@event-runtime/simulators';
import { describe, expect, test } from 'vitest';
import { deferred } from '../internal/deferred.ts';
import { useDelivererBench } from '../webhooks/deliverer-fixture.suite.ts';
import { requestRedrive } from './redrive.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  const bench = useDelivererBench(major);

  test('letters come before what their deliverer holds of the entity, behind the request that is under way', async () => {
    const { webhooks, deliverer, endpoint, publish, emptied } = bench();
    const gate = deferred();
    let well = false;
    await using receiver = await WebhookReceiver.start({
      keepBodies: true,
      answer: async ({ body }) => {
        if (body?.toString() === '3') await gate.promise;
        return { type: 'status', status: well ? 200 : 503 };
      },
    });
    await endpoint({ url: receiver.url });
    const working = deliverer({ pollMs: 60_000, retry: { delaysMs: [], jitter: 0 } });
    await working.start();
    await publish([{ payload: '1' }, { payload: '2' }], working);
    await webhooks.until('(select count(*) = 2 from event_runtime.dead_letter)');
    well = true;
    await publish([{ payload: '3' }, { payload: '4' }, { payload: '5' }], working);
    await receiver.until((requests) => requests.length === 3);
    const client = await webhooks.pool.connect();
    await requestRedrive(client, {}, { by: 'ops' });
    client.release();
    // What is claimed with it, or before it, is in the deliverer's hands when it comes.
    await publish([{ payload: '9', entityKey: 'other' }], working);
    await receiver.until((requests) => requests.length === 4);
    gate.resolve();
    await emptied();
    const bodies = receiver.requests.map(({ body }) => body?.toString());
    expect(bodies).toEqual(['1', '2', '3', '9', '1', '2', '4', '5']);
    expect(await webhooks.rows('select from event_runtime.dead_letter')).toEqual([]);
  });
});
