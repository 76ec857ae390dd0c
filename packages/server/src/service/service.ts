import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AttemptObservation,
  Deliverer,
  type DeliveryObservation,
  DeliveryQueue,
  EgressGuard,
  type Logger,
  PartitionUpkeep,
  Relay,
  SecretBox,
  type Sink,
  Supervisor,
  WebhookSink,
} from '@event-runtime/runtime';
import pg from 'pg';
import type { Settings } from './settings.ts';

export interface ServiceOptions {
  readonly settings: Settings;
  readonly logger: Logger;
  /** Sinks beside the webhooks. They serve every connection one after another: disposing them must not end them. */
  readonly sinks?: readonly Sink[];
  /** Puts something between the relay and the webhook sink. */
  readonly wrapWebhooks?: (sink: Sink) => Sink;
  /** Told of every attempt at a delivery, beside the log. */
  readonly observe?: (observation: AttemptObservation) => void;
  /** See RelayOptions. Default `refuse`. */
  readonly unboundedWal?: 'refuse' | 'warn';
}

/** The parts of the service, put together, and what they share. */
export interface EventService extends AsyncDisposable {
  readonly supervisor: Supervisor;
  readonly pool: pg.Pool;
}

/** Puts the service together: upkeep, relay, webhooks. Nothing runs until the supervisor is started. */
export function createService(options: ServiceOptions): EventService {
  const { settings, logger } = options;
  const pool = new pg.Pool({
    connectionString: settings.databaseUrl,
    max: 10,
    application_name: 'event-runtime',
    client_encoding: 'UTF8',
    // A host that swallows packets is an error like one that refuses them, and is tried again.
    connectionTimeoutMillis: 10_000,
    query_timeout: 30_000,
  });
  // An idle connection that breaks is replaced; the statement that needs one says what is wrong.
  pool.on('error', () => undefined);
  const deliverer = new Deliverer({
    queue: new DeliveryQueue({ pool }),
    secretBox: new SecretBox(settings.secretKeys),
    guard: new EgressGuard({ allow: settings.egressAllow }),
    ...(settings.retryDelaysMs === undefined ? {} : { retry: { delaysMs: settings.retryDelaysMs } }),
    // It starts when this process has the slot, which one process has.
    takeOver: true,
    observe: (observation) => {
      logObservation(logger, observation);
      if (observation.type !== 'cycle-failed') options.observe?.(observation);
    },
  });
  const relay = new Relay({
    connectionString: settings.databaseUrl,
    pool,
    slot: settings.slot,
    logger,
    unboundedWal: options.unboundedWal ?? 'refuse',
    sinks: (owner) => {
      const webhooks = new WebhookSink({ pool, owner, onFanOut: () => deliverer.wake() });
      return [options.wrapWebhooks?.(webhooks) ?? webhooks, ...(options.sinks ?? [])];
    },
  });
  const upkeep = new PartitionUpkeep({ connectionString: settings.databaseUrl, logger });
  return {
    supervisor: new Supervisor([upkeep, relay, deliverer], { name: 'event-runtime' }),
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
