import {
  type AttemptObservation,
  type CuttablePool,
  Deliverer,
  type DeliveryObservation,
  DeliveryQueue,
  EgressGuard,
  Leased,
  type Logger,
  SecretBox,
  type Service,
  type Sink,
  type SinkSource,
  WebhookSink,
} from '@event-runtime/runtime';
import type { Configuration } from '../config/configuration.ts';

export interface WebhooksOptions {
  readonly configuration: Configuration;
  readonly logger: Logger;
  readonly pool: CuttablePool;
  /** Puts something between the relay and the webhook sink. */
  readonly wrapWebhooks?: (sink: Sink) => Sink;
  /** Told of every attempt at a delivery, beside the log. */
  readonly observe?: (observation: AttemptObservation) => void;
}

/** Webhooks have two ends: the sink that turns events into deliveries, and what makes them, in one replica at a time. */
export function createWebhooks(options: WebhooksOptions): {
  readonly source: SinkSource;
  readonly deliveries: Service;
} {
  const { configuration, logger, pool } = options;
  let deliverer: Deliverer | undefined;
  return {
    source: {
      name: 'webhooks',
      create: (owner) => {
        const sink = new WebhookSink({ pool, owner, onFanOut: () => deliverer?.wake() });
        return options.wrapWebhooks?.(sink) ?? sink;
      },
      cut: () => pool.cut(),
    },
    deliveries: new Leased({
      name: '#webhooks',
      connectionString: configuration.databaseUrl,
      relay: configuration.relay.name,
      logger,
      leaseMs: configuration.relay.leaseMs,
      cut: () => pool.cut(),
      create: (lease) => {
        deliverer = createDeliverer(options, () => lease.valid());
        return deliverer;
      },
    }),
  };
}

function createDeliverer(
  { configuration, logger, pool, observe }: WebhooksOptions,
  valid: () => boolean,
): Deliverer {
  return new Deliverer({
    queue: new DeliveryQueue({ pool }),
    secretBox: new SecretBox(configuration.secretKeys),
    guard: new EgressGuard({ allow: configuration.webhooks.egressAllow }),
    retry: { delaysMs: configuration.webhooks.retryDelays },
    // Whoever had the lease before has it no longer.
    takeOver: true,
    valid,
    observe: (observation) => {
      logObservation(logger, observation);
      if (observation.type !== 'cycle-failed') observe?.(observation);
    },
  });
}

function logObservation(logger: Logger, observation: DeliveryObservation): void {
  switch (observation.type) {
    case 'delivered':
      logger.debug('webhook.delivered', attemptFields(observation));
      break;
    case 'retrying':
      logger.warn('webhook.retrying', { ...attemptFields(observation), delayMs: observation.retryInMs });
      break;
    case 'dead':
      logger.error('webhook.dead', attemptFields(observation));
      break;
    case 'cycle-failed':
      logger.error('webhook.cycle.failed', { error: observation.error, delayMs: observation.delayMs });
      break;
  }
}

function attemptFields(observation: AttemptObservation): Record<string, unknown> {
  return {
    eventId: observation.eventId,
    endpointId: observation.endpointId,
    attempt: observation.attempt,
    status: observation.status,
    code: observation.errorCode,
    ms: Math.round((observation.answeredAt - observation.sentAt) * 10) / 10,
  };
}
