import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { type EventRuntimeError, isEventRuntimeError } from '@event-runtime/outbox';
import { type Deferred, deferred } from '../internal/deferred.ts';
import { orAborted } from '../internal/or-aborted.ts';
import { retrying } from '../lifecycle/retrying.ts';
import { type RunContext, Service } from '../lifecycle/service.ts';
import type { CheckpointOwner } from '../log/checkpoint.ts';
import type { Sink } from '../sinks/sink.ts';
import { type Logger, silentLogger } from '../telemetry/logger.ts';
import { Lead, type SinkStatus, type WindowUse } from './lead.ts';
import type { LeaseUnit } from './lease/lease.ts';
import { LeaseKeeper } from './lease/lease-keeper.ts';
import type { LeaseChange } from './lease/lease-options.ts';
import { watchServer } from './lease/server-watch.ts';
import { preflight } from './preflight.ts';
import { RelayPools } from './relay-pools.ts';
import type { Route } from './route.ts';

/** A sink that the relay feeds: known by its name, made anew for each lease. */
export interface SinkSource {
  /** The key of its checkpoints: 1 to 200 characters, the first not `*`, `@` or `#`. */
  readonly name: string;
  /** The relay disposes what it returns. */
  create(owner: CheckpointOwner): Sink;
  /**
   * Ends, at once, the connections that its sinks keep to the relay's own database ({@link CuttablePool}): they may lead to
   * a server that is gone. Default: it keeps none.
   */
  readonly cut?: () => void;
  /**
   * What becomes of later events of an entity that has a dead letter. `continue`: they are delivered. `wait`: they are kept
   * as letters behind it until it is redriven or discarded, and then delivered in their order; a batch then has one
   * event of each entity. Default `continue`.
   */
  readonly afterDeadLetter?: 'continue' | 'wait';
  /**
   * Milliseconds after which an event becomes a dead letter that the sink turns away again and again (`retry`), five times
   * at least, although it has taken another one since the first time. Counted from that time, in memory, while the sink takes
   * any. Default: it never does.
   */
  readonly deadLetterAfterMs?: number;
}

export interface RelayOptions {
  /** A direct connection string (no pooler in transaction mode), of a role that may use replication. */
  readonly connectionString: string;
  /** What checkpoints and leases are kept under. Default `event_runtime`. */
  readonly name?: string;
  /** Name of the replication slot; made when it is missing. Default: the relay's name. */
  readonly slot?: string;
  /** `wal`: reads the WAL, and the table for what is behind. `table`: polls the table, needs no replication. Default `wal`. */
  readonly source?: 'wal' | 'table';
  /** Into how many parts a sink is divided among replicas; for `table` only. Default 1. */
  readonly shards?: number;
  readonly sinks: readonly SinkSource[];
  /** Which events go to which sinks, the first route that matches counting. Default: everything goes everywhere. */
  readonly routes?: readonly Route[];
  readonly logger?: Logger;
  /** What an unlimited `max_slot_wal_keep_size` means. Default `refuse` (ER1203). */
  readonly unboundedWal?: 'refuse' | 'warn';
  /** Whether a slot that is made is carried over to standbys (PostgreSQL 17 and later). Default true. */
  readonly failover?: boolean;
  /** Milliseconds between two checkpoints of a sink, and between two ticks. Default 1,000. */
  readonly checkpointMs?: number;
  /** Milliseconds between two looks at the table. Default 100; ten times as long where nothing happens. */
  readonly pollMs?: number;
  /** Bytes of the recent WAL that are kept for sinks (payloads, and 1 KiB for the rest of each event). Default 32 MiB. */
  readonly windowBytes?: number;
  /** Milliseconds that a sink may be behind in the window before it goes on from the table. Default 10,000. */
  readonly behindMs?: number;
  /** See `wal_sender_timeout`; set for this connection only. Milliseconds; default 10,000. */
  readonly walSenderTimeoutMs?: number;
  /** Milliseconds after which a replica that gave no sign of life loses its lease. Default 3,500. */
  readonly leaseMs?: number;
}

/** What a replica does. */
export interface RelayActivity {
  /** Every lease there is, and whether this replica holds it; sink `*` is the reader of the WAL for all sinks. */
  readonly leases: ReadonlyArray<LeaseUnit & { readonly held: boolean }>;
  /** Null: it reads no WAL. */
  readonly window: WindowUse | null;
  /**
   * Why it does not read the WAL although it has the lease, where that does not mend itself; the table serves meanwhile.
   * ER1201 somebody else reads the slot, ER1211 and ER1213 the slot is not ours, ER1204 and ER1303 the publication.
   */
  readonly trouble: EventRuntimeError | null;
}

/**
 * Carries events from the outbox to the sinks: in the order of each entity, at least once, each sink at its own pace
 * (docs/architecture.md). Any number of replicas may run; one of them does the work, or, where the table is polled,
 * each a part of it. Comes back by itself after every failure that repetition may mend.
 */
export class Relay extends Service {
  readonly #options: RelayOptions;
  readonly #logger: Logger;
  readonly #leads = new Set<Lead>();

  /** @throws RangeError for a sink's name that cannot be one, or is there twice; for a route to a sink that is not there */
  constructor(options: RelayOptions) {
    super('relay');
    checkNames(options.sinks.map(({ name }) => name));
    checkRoutes(options);
    this.#options = options;
    this.#logger = (options.logger ?? silentLogger).child({
      component: 'relay',
      relay: options.name ?? 'event_runtime',
    });
  }

  /** Where the sinks are that this replica feeds. */
  get status(): readonly SinkStatus[] {
    return [...this.#leads].flatMap((lead) => lead.status);
  }

  /** What this replica does at the moment. */
  get activity(): RelayActivity {
    const leads = [...this.#leads];
    const leases = this.#units().map((unit) => ({
      ...unit,
      held: leads.some((lead) => lead.unit.sink === unit.sink && lead.unit.shard === unit.shard),
    }));
    return {
      leases,
      window: leads.map((lead) => lead.windowUse).find((use) => use !== undefined) ?? null,
      trouble: leads.map((lead) => lead.trouble).find((error) => error !== undefined) ?? null,
    };
  }

  protected override async run(context: RunContext): Promise<void> {
    await using pools = new RelayPools(this.#options);
    await this.#check(pools, context.stopping);
    if (context.stopping.aborted) return;
    await using watch = watchServer({
      pool: pools.leases,
      onChange: () => this.#cut(pools),
      everyMs: this.#options.checkpointMs,
    });
    void watch;
    const fatal = deferred();
    await using keeper = this.#keeper(pools, { context, fatal });
    await keeper.start();
    await orAborted(Promise.race([keeper.finished, fatal.promise]), context.stopping);
    const letGo = (): void => {
      void keeper.stop({ graceMs: 0 }).catch(() => undefined);
    };
    context.aborted.addEventListener('abort', letGo, { once: true });
    try {
      // Longer than the supervisor's patience: `aborted` ends it.
      await keeper.stop({ graceMs: 3_600_000 });
    } finally {
      context.aborted.removeEventListener('abort', letGo);
    }
  }

  async #check(pools: RelayPools, signal: AbortSignal): Promise<void> {
    const {
      connectionString,
      name = 'event_runtime',
      source = 'wal',
      unboundedWal = 'refuse',
    } = this.#options;
    const { slot = name } = this.#options;
    const logger = this.#logger;
    await retrying(
      async () =>
        await preflight({ connectionString, pool: pools.work, source, slot, unboundedWal, logger, signal }),
      {
        signal,
        baseMs: 50,
        maxMs: 5_000,
        onRetry: ({ error, attempt, delayMs }) => {
          logger.warn('relay.reconnecting', { error, attempt, delayMs });
        },
      },
    );
  }

  #keeper(
    pools: RelayPools,
    life: { readonly context: RunContext; readonly fatal: Deferred<void> },
  ): LeaseKeeper {
    const { name = 'event_runtime', leaseMs } = this.#options;
    const { context, fatal } = life;
    return new LeaseKeeper({
      pool: pools.leases,
      relay: name,
      replica: randomUUID(),
      name: `${hostname()}:${process.pid}`,
      units: this.#units(),
      ...(leaseMs === undefined ? {} : { ttlMs: leaseMs, renewMs: leaseMs / 4, lookMs: leaseMs / 8 }),
      work: async (lease, over) => {
        const lead = new Lead({ ...this.#options, name, pools, lease, logger: this.#logger });
        this.#leads.add(lead);
        // Whoever waits for an answer that does not come must not keep this replica from taking the lease again.
        const onLost = (): void => {
          if (![...this.#leads].some(({ valid }) => valid)) this.#cut(pools);
        };
        lease.lost.addEventListener('abort', onLost, { once: true });
        try {
          await lead.run({
            // Asked to give it up in peace, it may write what is under way; without a lease it lets go at once.
            stopping: AbortSignal.any([context.stopping, over]),
            aborted: AbortSignal.any([context.aborted, lease.lost]),
            ready: () => context.ready(),
          });
        } finally {
          this.#leads.delete(lead);
        }
      },
      onFailure: ({ error, attempt, delayMs }) => {
        if (isEventRuntimeError(error) && !error.retryable) fatal.reject(error);
        else this.#logger.warn('relay.reconnecting', { error, attempt, delayMs });
      },
      onChange: (change) => this.#say(change),
      onLook: (held) => {
        if (held > 0 || this.state !== 'starting') return;
        this.#logger.info('relay.standby');
        context.ready();
      },
    });
  }

  /** The connections lead to a server that is gone, or may be. */
  #cut(pools: RelayPools): void {
    pools.work.cut();
    for (const source of this.#options.sinks) source.cut?.();
  }

  #units(): readonly LeaseUnit[] {
    const { source = 'wal', shards = 1, sinks } = this.#options;
    if (source === 'wal') return [{ sink: '*', shard: 0 }];
    return sinks.flatMap(({ name }) => Array.from({ length: shards }, (_, shard) => ({ sink: name, shard })));
  }

  #say(change: LeaseChange): void {
    switch (change.kind) {
      case 'acquired':
      case 'released':
        this.#logger.info(`relay.lease.${change.kind}`, leaseFields(change));
        break;
      case 'lost':
        this.#logger.warn('relay.lease.lost', leaseFields(change));
        break;
      case 'trouble':
        this.#logger.warn('relay.lease.trouble', { error: change.error });
        break;
    }
  }
}

function checkRoutes({ sinks, routes = [] }: RelayOptions): void {
  const names = sinks.map(({ name }) => name);
  const unknown = routes.flatMap(({ to }) => to).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  throw new RangeError(`a route leads to ${unknown}; there are the sinks ${names.join(', ')}`);
}

/** The other names in the table of leases are not those of sinks. */
function checkNames(names: readonly string[]): void {
  for (const [index, name] of names.entries()) {
    if (!/^[^*@#].{0,199}$/s.test(name)) {
      throw new RangeError(
        `a sink's name has 1 to 200 characters, the first not *, @ or #, not ${JSON.stringify(name)}`,
      );
    }
    if (names.indexOf(name) !== index)
      throw new RangeError(`there are two sinks named ${JSON.stringify(name)}`);
  }
}

function leaseFields(change: Exclude<LeaseChange, { kind: 'trouble' }>): Readonly<Record<string, unknown>> {
  return { sink: change.unit.sink, shard: change.unit.shard, epoch: change.epoch.toString() };
}
