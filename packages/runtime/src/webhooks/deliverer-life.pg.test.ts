import type { Answer } from '@event-runtime/simulators';
import fc from 'fast-check';
import { buildConnector } from 'undici';
import { describe, expect, test } from 'vitest';
import type { LoggedEvent } from '../log/outbox-event.ts';
import { stressService } from '../testing/service-stress.ts';
import { Deliverer } from './deliverer.ts';
import { entityOfRequest, eventIdOfRequest, useDelivererBench } from './deliverer-fixture.suite.ts';
import type { DeliveryObservation } from './delivery-observation.ts';
import { type Claim, type ClaimOptions, DeliveryQueue } from './delivery-queue.ts';
import { EgressGuard } from './egress-guard.ts';
import type { WebhookSink } from './fan-out.ts';
import type { WebhookFixture } from './webhook-fixture.suite.ts';

const ok: Answer = { type: 'status', status: 200 };
const unavailable: Answer = { type: 'status', status: 503 };

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  const bench = useDelivererBench(major);

  test('two deliverers at once: nothing twice, nothing out of order, one at a time for each entity', async () => {
    const { receiver, deliverer, endpoint, publish, emptied } = bench();
    await endpoint();
    const underWay = new Map<string, number>();
    let most = 0;
    receiver.answerWith(async (request) => {
      const key = entityOfRequest(request);
      underWay.set(key, (underWay.get(key) ?? 0) + 1);
      most = Math.max(most, underWay.get(key)!);
      await new Promise<void>((resolve) => {
        setImmediate(resolve);
      });
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
      arrived.set(entityOfRequest(request), [
        ...(arrived.get(entityOfRequest(request)) ?? []),
        eventIdOfRequest(request),
      ]);
    }
    expect(arrived).toEqual(expected);
    expect(most).toBe(1);
    await Promise.all(both.map((each) => each.stop()));
  });

  test('a process that lost its lease while a request was under way sends and claims nothing more', async () => {
    const { receiver, deliverer, endpoint, publish, webhooks } = bench();
    await endpoint();
    let held = true;
    receiver.answerWith(() => {
      held = false;
      return ok;
    });
    const stale = deliverer({ valid: () => held, pollMs: 5 });
    await stale.start();
    const [first] = await publish([{}, {}, {}], stale);
    await webhooks.until('(select count(*) from event_runtime.webhook_delivery) = 2');
    await publish([{ entityKey: 'another' }], stale);
    await webhooks.rows('select pg_sleep(0.1)');
    expect(receiver.requests.map(eventIdOfRequest)).toEqual([first!.event.eventId]);
    // The one that took over.
    receiver.answerWith(() => ok);
    held = false;
    await deliverer({ takeOver: true }).start();
    await bench().emptied();
    expect(receiver.requests).toHaveLength(4);
  });

  test('a connection that is there only after the lease was lost is not written to', async () => {
    const { receiver, deliverer, endpoint, publish, webhooks } = bench();
    await endpoint();
    let held = true;
    const connecting = Promise.withResolvers<void>();
    const connected = Promise.withResolvers<void>();
    const guard = new EgressGuard({
      allow: ['127.0.0.0/8'],
      connector: (options) => {
        const connect = buildConnector(options);
        return (target, callback) => {
          connect(target, (...args: buildConnector.CallbackArgs) => {
            connecting.resolve();
            void (async () => {
              await connected.promise;
              callback(...args);
            })();
          });
        };
      },
    });
    const stale = deliverer({ guard, valid: () => held });
    await stale.start();
    const [logged] = await publish([{}], stale);
    await connecting.promise;
    held = false;
    connected.resolve();
    await webhooks.rows('select pg_sleep(0.1)');
    expect(receiver.requests).toEqual([]);
    await stale.stop();
    // What was not sent is no attempt.
    expect(await webhooks.rows('select attempts from event_runtime.webhook_delivery')).toEqual([
      { attempts: 0 },
    ]);
    const attempted = 'select from event_runtime.webhook_attempt where event_id = $1';
    expect(await webhooks.rows(attempted, [logged!.event.eventId])).toEqual([]);
    await deliverer({ takeOver: true }).start();
    await bench().emptied();
    expect(receiver.requests).toHaveLength(1);
  });

  test('property: under random failures each event arrives, and first arrivals are in order', async () => {
    const { webhooks, receiver, deliverer, endpoint, publish, emptied } = bench();
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
            const mine = receiver.requests
              .slice(begin)
              .filter((request) => entityOfRequest(request) === `k${key}`);
            expect([...new Set(mine.map(eventIdOfRequest))]).toEqual(sent);
            // A later one is never tried before the earlier one has been taken.
            const taken = mine.filter((request) => request.status === 200).map(eventIdOfRequest);
            expect(taken).toEqual(sent);
          }
          await webhooks.rows('delete from event_runtime.webhook_endpoint where endpoint_id = $1', [
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
    const { webhooks, receiver, deliverer, endpoint, publish } = bench();
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
    await webhooks.until(`exists (select from event_runtime.webhook_delivery where claimed_by is null)`);
    release();
    await stopped;
    expect(receiver.requests).toHaveLength(2);
    expect(
      await webhooks.rows('select event_id, claimed_by, attempts from event_runtime.webhook_delivery'),
    ).toEqual([{ event_id: logged[1]!.event.eventId, claimed_by: null, attempts: 0 }]);
  });

  test('dropped with requests under way: the lease runs out, and the next one delivers them', async () => {
    const { webhooks, receiver, deliverer, endpoint, publish, emptied } = bench();
    await endpoint();
    receiver.answerNext({ type: 'hang' });
    const first = deliverer({ leaseMs: 1_500 });
    await first.start();
    const [logged] = await publish([{ entityKey: 'a' }, { entityKey: 'a' }], first);
    await receiver.until((requests) => requests.length === 1);
    await first.stop({ graceMs: 0 });
    expect(
      await webhooks.rows('select from event_runtime.webhook_delivery where claimed_by is not null'),
    ).not.toEqual([]);
    const second = deliverer({ pollMs: 10 });
    await second.start();
    await emptied();
    expect(receiver.requests.map(eventIdOfRequest).slice(0, 2)).toEqual([
      logged!.event.eventId,
      logged!.event.eventId,
    ]);
    expect(receiver.requests).toHaveLength(3);
  });

  test('takeOver: a restart does not wait for the lease', async () => {
    const { receiver, deliverer, endpoint, publish, emptied } = bench();
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
    const { webhooks, receiver, deliverer, endpoint, publish, emptied } = bench();
    await endpoint();
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    receiver.answerWith(async () => {
      await held;
      return ok;
    });
    const first = deliverer({ leaseMs: 10_000, pollMs: 10 });
    const second = deliverer({ leaseMs: 10_000, pollMs: 10 });
    await first.start();
    await publish([{}], first);
    await receiver.until((requests) => requests.length === 1);
    const [claimed] = await webhooks.rows<{ until: Date }>(
      'select claimed_until as until from event_runtime.webhook_delivery',
    );
    await second.start();
    await webhooks.until(`clock_timestamp() > $1::timestamptz + interval '100 ms'`, [claimed!.until]);
    expect(receiver.requests).toHaveLength(1);
    release();
    await emptied();
    expect(receiver.requests).toHaveLength(1);
  });

  test('the database goes away and comes back: nothing is lost, nothing of an entity is reordered', async () => {
    const { webhooks, receiver, deliverer, endpoint, emptied } = bench();
    await endpoint();
    const seen: DeliveryObservation[] = [];
    const working = deliverer({ pollMs: 10, leaseMs: 500, observe: (one) => seen.push(one) });
    await working.start();
    const sink = webhooks.sink({ onFanOut: () => working.wake() });
    const all: string[] = [];
    for (let round = 0; round < 8; round += 1) {
      const logged = await webhooks.emit(Array.from({ length: 20 }, () => ({ entityKey: 'a' })));
      await handOver(webhooks, sink, logged);
      all.push(...logged.map(({ event }) => event.eventId));
      await webhooks.rows(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`,
      );
    }
    await emptied();
    expect([...new Set(receiver.requests.map(eventIdOfRequest))]).toEqual(all);
    expect(seen.filter((one) => one.type === 'cycle-failed').length).toBeGreaterThan(0);
  });

  test('invariants of every service', async () => {
    const { webhooks, endpoint, publish } = bench();
    await endpoint();
    await publish(Array.from({ length: 5 }, () => ({})));
    const stressed = stressService(
      () => {
        const { queue, guard, secretBox } = webhooks;
        return new Deliverer({ queue, guard, secretBox, pollMs: 5 });
      },
      {
        rounds: 30,
        leaked: () => (webhooks.pool.totalCount > webhooks.pool.idleCount ? 'a connection' : undefined),
      },
    );
    await expect(stressed).resolves.toBeUndefined();
  });

  test('a claim whose commit was not confirmed: its deliveries are not forgotten until the lease ends', async () => {
    const { webhooks, receiver, deliverer, endpoint, publish, emptied } = bench();
    await endpoint();
    class Unconfirmed extends DeliveryQueue {
      failures = 0;
      override async claim(options: ClaimOptions): Promise<Claim> {
        const claim = await super.claim(options);
        if (claim.deliveries.length === 0 || this.failures > 0) return claim;
        this.failures += 1;
        throw new Error('the connection ended before the answer to commit');
      }
    }
    const queue = new Unconfirmed({ pool: webhooks.pool });
    const working = deliverer({ queue, leaseMs: 3_600_000, pollMs: 10 });
    await working.start();
    await publish([{ entityKey: 'a' }, { entityKey: 'a' }], working);
    await emptied();
    expect(queue.failures).toBe(1);
    expect(receiver.requests).toHaveLength(2);
  });
});

/** As the relay does: a batch of which nothing can be said is handed over again. */
async function handOver(
  webhooks: WebhookFixture,
  sink: WebhookSink,
  events: readonly LoggedEvent[],
): Promise<void> {
  for (;;) {
    try {
      await webhooks.handOver(events, sink);
      return;
    } catch (error) {
      // The pool's idle connections were cut too, and it may not know yet.
      if (!/terminat/i.test(String(error))) throw error;
    }
  }
}
