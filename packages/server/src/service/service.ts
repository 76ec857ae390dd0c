import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AttemptObservation,
  Deliverer,
  type DeliveryObservation,
  DeliveryQueue,
  EgressGuard,
  Leased,
  type Logger,
  PartitionUpkeep,
  Relay,
  SecretBox,
  type Sink,
  type SinkSource,
  Supervisor,
  WebhookSink,
} from '@event-runtime/runtime';
import pg from 'pg';
import type { Configuration } from '../config/configuration.ts';

export interface ServiceOptions {
  readonly configuration: Configuration;
  readonly logger: Logger;
  /** Sinks beside the webhooks. */
  readonly sinks?: readonly SinkSource[];
  /** Puts something between the relay and the webhook sink. */
  readonly wrapWebhooks?: (sink: Sink) => Sink;
  /** Told of every attempt at a delivery, beside the log. */
  readonly observe?: (observation: AttemptObservation) => void;
}

/** The parts of the service, put together, and what they share. */
export interface EventService extends AsyncDisposable {
  readonly supervisor: Supervisor;
  readonly pool: pg.Pool;
}

/** Puts the service together: upkeep, relay, webhooks. Nothing runs until the supervisor is started. */
export function createService(options: ServiceOptions): EventService {
  const { configuration, logger } = options;
  const { databaseUrl: connectionString, relay: relaying, retention } = configuration;
  const pool = new pg.Pool({
    connectionString,
    max: 10,
    application_name: 'event-runtime',
    client_encoding: 'UTF8',
    // A host that swallows packets is an error like one that refuses them, and is tried again.
    connectionTimeoutMillis: 10_000,
    query_timeout: 30_000,
  });
  // An idle connection that breaks is replaced; the statement that needs one says what is wrong.
  pool.on('error', () => undefined);
  let deliverer: Deliverer | undefined;
  const createDeliverer = (): Deliverer => {
    deliverer = new Deliverer({
      queue: new DeliveryQueue({ pool }),
      secretBox: new SecretBox(configuration.secretKeys),
      guard: new EgressGuard({ allow: configuration.webhooks.egressAllow }),
      retry: { delaysMs: configuration.webhooks.retryDelays },
      // Whoever had the lease before has it no longer.
      takeOver: true,
      observe: (observation) => {
        logObservation(logger, observation);
        if (observation.type !== 'cycle-failed') options.observe?.(observation);
      },
    });
    return deliverer;
  };
  const webhooks: SinkSource = {
    name: 'webhooks',
    create: (owner) => {
      const sink = new WebhookSink({ pool, owner, onFanOut: () => deliverer?.wake() });
      return options.wrapWebhooks?.(sink) ?? sink;
    },
  };
  const relay = new Relay({
    connectionString,
    logger,
    ...relaying,
    sinks: [webhooks, ...(options.sinks ?? [])],
  });
  const delivering = new Leased({
    name: '#webhooks',
    connectionString,
    relay: relaying.name,
    logger,
    leaseMs: relaying.leaseMs,
    create: createDeliverer,
  });
  const upkeep = new PartitionUpkeep({ connectionString, logger, keyRetentionDays: retention.keyDays });
  return {
    supervisor: new Supervisor([upkeep, relay, delivering], { name: 'event-runtime' }),
    pool,
    async [Symbol.asyncDispose]() {
      // A part that did not stop in time may keep a connection; the process ends all the same.
      const late = new AbortController();
      const patience = sleep(2_000, undefined, { signal: late.signal }).catch(() => undefined);
      await Promise.race([pool.end(), patience]);
      late.abort();
    },
  };
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
