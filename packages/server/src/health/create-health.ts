import type { Logger, Relay, Service } from '@event-runtime/runtime';
import type { Configuration } from '../config/configuration.ts';
import { collectMetrics } from './collect-metrics.ts';
import { DatabaseWatch } from './database-view.ts';
import { HealthServer } from './health-server.ts';
import { ProcessMeter } from './process-figures.ts';
import { readiness } from './readiness.ts';

export interface HealthOptions {
  readonly configuration: Configuration;
  readonly logger: Logger;
  /** The other parts of the process. */
  readonly parts: readonly Service[];
  /** Undefined: this process is no relay. */
  readonly relay: Relay | undefined;
  /** See DatabaseWatchOptions. */
  readonly freshMs?: number;
  readonly patienceMs?: number;
}

/** Health and metrics of this process. To be started first and stopped last: it says how the others stand. */
export function createHealth(options: HealthOptions): HealthServer {
  const { configuration, logger, parts, relay, freshMs, patienceMs } = options;
  const { databaseUrl: connectionString, http, roles } = configuration;
  const { name, slot, source, shards } = configuration.relay;
  return new HealthServer({
    host: http.host,
    port: http.port,
    logger: logger.child({ component: 'health' }),
    answers: () => {
      const watch = new DatabaseWatch({
        connectionString,
        relay: name,
        slot,
        shards: source === 'table' ? shards : 1,
        ...(freshMs === undefined ? {} : { freshMs }),
        ...(patienceMs === undefined ? {} : { patienceMs }),
      });
      const meter = new ProcessMeter();
      return {
        readiness: async () =>
          readiness({
            roles,
            parts,
            view: await watch.view(),
            activity: relay?.activity ?? null,
            sinks: relay?.status ?? [],
          }),
        metrics: async () =>
          collectMetrics({
            view: await watch.view(),
            activity: relay?.activity ?? null,
            status: relay?.status ?? [],
            figures: meter.read(),
            slotted: source === 'wal',
          }),
        async [Symbol.asyncDispose]() {
          meter[Symbol.dispose]();
          await watch[Symbol.asyncDispose]();
        },
      };
    },
  });
}
