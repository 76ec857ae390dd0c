import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { isEventRuntimeError } from '@event-runtime/outbox';
import type { Pool } from 'pg';
import { orAborted } from '../../internal/or-aborted.ts';
import { type RunContext, Service } from '../../lifecycle/service.ts';
import { type Logger, silentLogger } from '../../telemetry/logger.ts';
import { checkDirect, reached } from '../preflight.ts';
import { RelayPools } from '../relay-pools.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import type { HeldLease } from './lease-term.ts';
import { watchServer } from './server-watch.ts';

export interface LeasedOptions {
  /** Of the service and of its lease; begins with `#`, so that it is no sink's. */
  readonly name: `#${string}`;
  readonly connectionString: string;
  /** Which relay's leases. Default `event_runtime`. */
  readonly relay?: string;
  /** Makes what runs while this replica has the lease. */
  readonly create: (lease: HeldLease) => Service;
  /**
   * Ends the connections that the service keeps to this database, at once ({@link CuttablePool}): when another server
   * answers in its place, or the lease was lost, which waiting for an answer would keep from being taken again.
   */
  readonly cut?: () => void;
  readonly logger?: Logger;
  /** As for the relay. Milliseconds; default 3,500. */
  readonly leaseMs?: number;
}

/** A database that is away is waited for by what comes after. @throws ER1004 */
async function refusePoolerOf(pool: Pool, stopping: AbortSignal): Promise<void> {
  try {
    await reached(checkDirect(pool), stopping);
  } catch (error) {
    if (!stopping.aborted && isEventRuntimeError(error) && error.code === 'ER1004') throw error;
  }
}

/** A service that runs in one replica at a time; the others stand by. */
export class Leased extends Service {
  readonly #options: LeasedOptions;

  constructor(options: LeasedOptions) {
    super(options.name);
    this.#options = options;
  }

  protected override async run(context: RunContext): Promise<void> {
    const { connectionString, name, relay = 'event_runtime', leaseMs } = this.#options;
    const logger = (this.#options.logger ?? silentLogger).child({ component: name.slice(1) });
    await using pools = new RelayPools({ connectionString, sinks: [] });
    await refusePoolerOf(pools.leases, context.stopping);
    if (context.stopping.aborted) return;
    await using watch = watchServer({ pool: pools.leases, onChange: () => this.#options.cut?.() });
    void watch;
    await using keeper = new LeaseKeeper({
      pool: pools.leases,
      relay,
      group: name,
      replica: randomUUID(),
      name: `${hostname()}:${process.pid}`,
      units: [{ sink: name, shard: 0 }],
      ...(leaseMs === undefined ? {} : { ttlMs: leaseMs, renewMs: leaseMs / 4, lookMs: leaseMs / 8 }),
      work: async (lease, over) => {
        await using service = this.#options.create(lease);
        // Not in peace: what is under way is another's now.
        const letGo = (): void => {
          void service.stop({ graceMs: 0 }).catch(() => undefined);
          this.#options.cut?.();
        };
        lease.lost.addEventListener('abort', letGo, { once: true });
        await service.start();
        context.ready();
        await orAborted(service.finished, AbortSignal.any([over, context.stopping]));
      },
      onLook: (held) => {
        if (held === 0) context.ready();
      },
      onFailure: ({ error, attempt, delayMs }) => {
        logger.warn('relay.reconnecting', { error, attempt, delayMs });
      },
    });
    await keeper.start();
    await orAborted(keeper.finished, context.stopping);
  }
}
