import { randomUUID } from 'node:crypto';
import { writeSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type LeaseUnit, leaseKey } from './lease.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import type { LeaseFailure, LeaseKeeperOptions } from './lease-options.ts';
import type { HeldLease } from './lease-term.ts';

/** What a replica says. `at`: nanoseconds of the monotonic clock, the same in all processes of a machine. */
export interface Witnessed {
  readonly kind: 'acquired' | 'released' | 'lost' | 'trouble' | 'failed' | 'sample' | 'spinning' | 'ended';
  readonly replica: string;
  readonly at: bigint;
  /** Key of the unit, and the epoch; empty and 0 for `trouble`. */
  readonly unit: string;
  readonly epoch: bigint;
}

export interface ReplicaSettings {
  readonly url: string;
  readonly units: readonly LeaseUnit[];
  readonly ttlMs?: number;
  readonly renewMs?: number;
  readonly lookMs?: number;
  /** Does its work without giving anything else a turn, until the lease is no longer valid. */
  readonly spins?: boolean;
}

export type Work = (
  lease: HeldLease,
  options: { readonly signal: AbortSignal; readonly sample: () => boolean },
) => Promise<void>;

/** Takes a sample every few milliseconds until it is asked to end. */
const sampling: Work = async (_lease, { signal, sample }) => {
  while (!signal.aborted) {
    sample();
    await sleep(4, undefined, { signal }).catch(() => undefined);
  }
  sample();
};

/** A keeper whose work is to tell when its lease is valid. */
export class Replica {
  readonly name: string = randomUUID();
  readonly keeper: LeaseKeeper;
  readonly failures: LeaseFailure[] = [];
  readonly #pool: pg.Pool;
  readonly #say: (witnessed: Witnessed) => void;

  constructor(
    settings: ReplicaSettings & { readonly say: (witnessed: Witnessed) => void; readonly work?: Work },
  ) {
    const { url, work = settings.spins === true ? this.#spin : sampling, say, spins: _, ...rest } = settings;
    this.#say = say;
    this.#pool = new pg.Pool({
      ...{ connectionString: url, options: '-c role=event_runtime_service', max: 3 },
      ...{ connectionTimeoutMillis: 1_000, application_name: 'keeper' },
    });
    this.#pool.on('error', () => undefined);
    const options: LeaseKeeperOptions = {
      ...{ ...rest, relay: 'r', replica: this.name, name: `test:${process.pid}`, pool: this.#pool },
      ...{ baseMs: 5, maxMs: 40 },
      work: async (lease, signal) => await work(lease, { signal, sample: () => this.#sample(lease) }),
      onChange: (change) => {
        if (change.kind === 'trouble') this.#tell('trouble', undefined);
        else this.#tell(change.kind, change);
      },
      onFailure: (failure) => {
        this.failures.push(failure);
        this.#tell('failed', { unit: failure.unit, epoch: 0n });
      },
    };
    this.keeper = new LeaseKeeper(options);
  }

  /** Stops the keeper. Resolves only when every connection has come back to the pool. */
  async stop(): Promise<void> {
    await this.keeper.stop();
    if (!this.#pool.ended) await this.#pool.end();
  }

  /** The time is taken first: if the lease is valid after it, it was valid then. */
  #sample(lease: HeldLease): boolean {
    const at = process.hrtime.bigint();
    const valid = lease.valid();
    if (valid)
      this.#say({ kind: 'sample', replica: this.name, at, unit: leaseKey(lease.unit), epoch: lease.epoch });
    return valid;
  }

  readonly #spin: Work = async (lease, { sample }) => {
    this.#tell('spinning', lease);
    for (let next = 0, valid = true; valid; ) {
      if (performance.now() < next) continue;
      valid = sample();
      next = performance.now() + 2;
    }
    this.#tell('ended', lease);
  };

  #tell(kind: Witnessed['kind'], of: { readonly unit: LeaseUnit; readonly epoch: bigint } | undefined): void {
    const unit = of === undefined ? '' : leaseKey(of.unit);
    this.#say({ kind, replica: this.name, at: process.hrtime.bigint(), unit, epoch: of?.epoch ?? 0n });
  }
}

/** In a child process: the settings as JSON come as an argument, what is witnessed goes out as lines. */
export async function runReplica(settings: string): Promise<void> {
  const say = ({ kind, replica, at, unit, epoch }: Witnessed): void => {
    // At once and whole: the next instruction may be the last.
    writeSync(1, `${[kind, replica, at, unit, epoch].join(' ')}\n`);
  };
  // It will be killed, and of a process that is killed nothing is kept: the next one would strip these files of types again.
  flushCompileCache();
  await new Replica({ ...(JSON.parse(settings) as ReplicaSettings), say }).keeper.start();
}

/** A line that {@link runReplica} wrote. */
export function parseWitnessed(line: string): Witnessed {
  const [kind, replica, at, unit, epoch] = line.split(' ');
  return {
    kind: kind as Witnessed['kind'],
    replica: replica!,
    at: BigInt(at!),
    unit: unit!,
    epoch: BigInt(epoch!),
  };
}
