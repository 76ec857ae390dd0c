import { setTimeout as sleep } from 'node:timers/promises';
import { isEventRuntimeError } from '@event-runtime/outbox';
import { type RunContext, Service } from '../lifecycle/service.ts';
import { type Logger, silentLogger } from '../telemetry/logger.ts';
import { connectDirect } from './direct-connection.ts';
import { ensurePartitions } from './partitioner.ts';
import { pruneKeys } from './pruner.ts';

const dayMs = 86_400_000;

export interface PartitionUpkeepOptions {
  /** A direct connection string of a role that may SET ROLE to `event_runtime_owner`. */
  readonly connectionString: string;
  readonly logger?: Logger;
  /** Milliseconds between two rounds. Default one hour. */
  readonly intervalMs?: number;
  /** Days that an idempotency key is remembered. Default 30. */
  readonly keyRetentionDays?: number;
}

/**
 * Keeps partitions ahead of time and forgets expired idempotency keys, at the start and then every hour.
 * A round that fails is logged and repeated: 30 days are ahead, and nothing that emits waits for it. A pooler in
 * between (ER1004) ends it.
 *
 * It drops no partition: what may go depends on what sinks have yet to read, and is asked by `Retention` (relay/).
 */
export class PartitionUpkeep extends Service {
  readonly #options: PartitionUpkeepOptions;
  readonly #logger: Logger;

  constructor(options: PartitionUpkeepOptions) {
    super('partition-upkeep');
    this.#options = options;
    this.#logger = (options.logger ?? silentLogger).child({ component: 'upkeep' });
  }

  protected override async run(context: RunContext): Promise<void> {
    context.ready();
    while (!context.stopping.aborted) {
      const again = (await this.#round(context.stopping)) ? (this.#options.intervalMs ?? 3_600_000) : 60_000;
      await sleep(again, undefined, { signal: context.stopping }).catch(() => undefined);
    }
  }

  async #round(signal: AbortSignal): Promise<boolean> {
    try {
      await using direct = await connectDirect({
        connectionString: this.#options.connectionString,
        applicationName: 'event-runtime upkeep',
        signal,
      });
      for (const report of await ensurePartitions(direct.client, { signal })) {
        this.#logger.info('schema.partitions', {
          table: report.table,
          ahead: report.daysAhead,
          created: report.created,
        });
      }
      const before = new Date(Date.now() - (this.#options.keyRetentionDays ?? 30) * dayMs);
      await pruneKeys(direct.client, { before, signal });
      return true;
    } catch (error) {
      // No repetition mends that.
      if (isEventRuntimeError(error) && error.code === 'ER1004') throw error;
      if (!signal.aborted) this.#logger.warn('schema.upkeep.failed', { error });
      return false;
    }
  }
}
