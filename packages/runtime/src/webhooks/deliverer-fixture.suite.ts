import { type ReceivedRequest, WebhookReceiver } from '@event-runtime/simulators';
import { afterAll, afterEach, beforeAll, beforeEach, inject } from 'vitest';
import type { LoggedEvent } from '../log/outbox-event.ts';
import { Deliverer } from './deliverer.ts';
import type { DelivererOptions } from './deliverer-options.ts';
import type { Ordering } from './endpoints.ts';
import { type Emitted, WebhookFixture } from './webhook-fixture.suite.ts';

export const eventIdOfRequest = (request: ReceivedRequest): string => request.headers['ce-id'] ?? '';
export const entityOfRequest = (request: ReceivedRequest): string => request.headers['ce-entitykey'] ?? '';

/** What a test of the deliverer works with; made anew for each test, but for the database. */
export interface DelivererBench {
  readonly webhooks: WebhookFixture;
  readonly receiver: WebhookReceiver;
  /** A deliverer with quick retries, stopped after the test. */
  readonly deliverer: (options?: Partial<DelivererOptions>) => Deliverer;
  /** An endpoint of tenant acme at the receiver, for all events. */
  readonly endpoint: (options?: {
    url?: string;
    ordering?: Ordering;
  }) => Promise<{ endpointId: string; secret: string }>;
  /** Emits, fans out, and wakes the deliverer if one is given. */
  readonly publish: (events: readonly Emitted[], wake?: Deliverer) => Promise<LoggedEvent[]>;
  /** Resolves when nothing is pending. */
  readonly emptied: () => Promise<void>;
}

/** Registers the hooks; the returned function gives the bench of the test that runs. */
export function useDelivererBench(major: '15' | '18'): () => DelivererBench {
  let webhooks: WebhookFixture;
  let bench: DelivererBench;
  const running: Deliverer[] = [];
  beforeAll(async () => {
    webhooks = await WebhookFixture.create(inject('postgres')[major]);
  });
  afterAll(async () => {
    await webhooks[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    const receiver = await WebhookReceiver.start({ keepBodies: true });
    const { queue, guard, secretBox } = webhooks;
    bench = {
      webhooks,
      receiver,
      deliverer(options = {}) {
        const retry = { delaysMs: [20, 20, 20], jitter: 0 };
        const made = new Deliverer({ queue, guard, secretBox, retry, ...options });
        running.push(made);
        return made;
      },
      endpoint: async (options = {}) =>
        await webhooks.endpoints.create({
          tenantId: 'acme',
          url: receiver.url,
          eventTypes: ['*'],
          ...options,
        }),
      publish: async (events, wake) =>
        await webhooks.publish(events, webhooks.sink({ onFanOut: () => wake?.wake() })),
      emptied: async () => {
        await webhooks.until('not exists (select from event_runtime.webhook_delivery)');
      },
    };
  });
  afterEach(async () => {
    await Promise.all(running.splice(0).map((one) => one.stop({ graceMs: 0 })));
    await bench.receiver.close();
    await webhooks.rows('delete from event_runtime.webhook_application');
    await webhooks.rows('delete from event_runtime.dead_letter');
  });
  return () => bench;
}
