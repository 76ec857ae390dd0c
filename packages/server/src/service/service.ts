import { setTimeout as sleep } from 'node:timers/promises';
import {
  CuttablePool,
  type Logger,
  PartitionUpkeep,
  Relay,
  Retention,
  type Service,
  type SinkSource,
  Supervisor,
} from '@event-runtime/runtime';
import type { Pool } from 'pg';
import type { Configuration } from '../config/configuration.ts';
import { createHealth } from '../health/create-health.ts';
import { configuredSource } from './configured-sources.ts';
import { createWebhooks, type WebhooksOptions } from './webhooks.ts';

export interface ServiceOptions extends Omit<WebhooksOptions, 'pool'> {
  readonly configuration: Configuration;
  readonly logger: Logger;
  /** Where the references of sinks (`env:NAME`) are looked up. Default: the environment of this process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Sinks beside those of the configuration. */
  readonly sinks?: readonly SinkSource[];
}

type Role = Configuration['roles'][number];

/** The parts of the service, put together, and what they share. */
export interface EventService extends AsyncDisposable {
  readonly supervisor: Supervisor;
  readonly relay: Relay;
  readonly pool: Pool;
}

/** Puts the service together: health, upkeep, relay, webhooks. Nothing runs until the supervisor is started. */
export function createService(options: ServiceOptions): EventService {
  const { configuration, logger } = options;
  const { databaseUrl: connectionString, retention } = configuration;
  const pool = new CuttablePool({
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
  const webhooks = createWebhooks({ ...options, pool });
  const relay = new Relay({
    connectionString,
    logger,
    ...configuration.relay,
    ...(configuration.routes === undefined ? {} : { routes: configuration.routes }),
    sinks: [
      ...configuration.sinks.map((sink) =>
        configuredSource(sink, {
          ...{ webhooks: webhooks.source, logger, routes: configuration.routes },
          env: options.env ?? process.env,
        }),
      ),
      ...(options.sinks ?? []),
    ],
  });
  const upkeep = new PartitionUpkeep({ connectionString, logger, keyRetentionDays: retention.keyDays });
  const keeping = new Retention({
    connectionString,
    logger,
    outboxDays: retention.outboxDays,
    maxDays: retention.maxDays,
    replayDays: retention.replayDays,
    ...(retention.archive === undefined ? {} : { archive: retention.archive }),
  });
  const services: Readonly<Record<Role, readonly Service[]>> = {
    relay: [upkeep, keeping, relay],
    webhooks: [webhooks.deliveries],
  };
  // In this order: what starts later may need what started earlier.
  const roles = (['relay', 'webhooks'] as const).filter((role) => configuration.roles.includes(role));
  const parts = roles.flatMap((role) => services[role]);
  const health =
    configuration.http.port === 0
      ? []
      : [createHealth({ configuration, logger, parts, relay: parts.includes(relay) ? relay : undefined })];
  return {
    supervisor: new Supervisor([...health, ...parts], { name: 'event-runtime' }),
    relay,
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
