import type { Pool } from 'pg';
import type { LeaseHolder, LeaseUnit } from './lease.ts';
import type { HeldLease } from './lease-term.ts';

/** Work on a unit that failed, and when this replica tries it again. */
export interface LeaseFailure {
  readonly unit: LeaseUnit;
  readonly error: unknown;
  /** How often in a row, from 1. */
  readonly attempt: number;
  /** Milliseconds in which this replica leaves the unit to others. */
  readonly delayMs: number;
}

/** What happens to a keeper's leases. */
export type LeaseChange =
  | { readonly kind: 'acquired'; readonly unit: LeaseUnit; readonly epoch: bigint }
  /** The work has ended and the unit was given back. */
  | { readonly kind: 'released'; readonly unit: LeaseUnit; readonly epoch: bigint }
  /** It could not be renewed in time, or another has it. */
  | { readonly kind: 'lost'; readonly unit: LeaseUnit; readonly epoch: bigint }
  /** The database did not do what it was asked; it is asked again. */
  | { readonly kind: 'trouble'; readonly error: unknown };

export interface LeaseKeeperOptions extends LeaseHolder {
  /**
   * Best one of its own, for whoever waits for a connection here loses leases: `max` 3, and a
   * `connectionTimeoutMillis` of a second. It stays its owner's. No pooler needs to be avoided.
   */
  readonly pool: Pool;
  /** The replicas that divide the units among themselves are those of the same group. Default: that of the relay. */
  readonly group?: string;
  /** What to look for; {@link LeaseKeeper.want} changes it. */
  readonly units: readonly LeaseUnit[];
  /**
   * The work on one unit. To return soon after the signal is aborted; `lease.valid()` and `lease.lost` then say
   * whether there is time to write what is under way. Until it has returned, this replica does not take the unit again. A return
   * without being asked gives the unit back; a rejection too, and it is tried again with backoff.
   */
  readonly work: (lease: HeldLease, signal: AbortSignal) => Promise<void>;
  /** Milliseconds that a lease holds without a renewal. Default 3,500. */
  readonly ttlMs?: number;
  /** Milliseconds between renewals, and that one may take. Default 1,000. */
  readonly renewMs?: number;
  /** Milliseconds between looks at what is free. Default 500. */
  readonly lookMs?: number;
  /** Milliseconds before the end of the lease at which the work is aborted: what it needs to end. Default ttlMs / 8. */
  readonly marginMs?: number;
  /** Milliseconds before failed work is tried again for the first time, and the longest. Default 100 and 15,000. */
  readonly baseMs?: number;
  readonly maxMs?: number;
  /** Must not throw. */
  readonly onFailure?: (failure: LeaseFailure) => void;
  /** Must not throw. */
  readonly onChange?: (change: LeaseChange) => void;
  /** After each look at the table: how many units this replica holds. Must not throw. */
  readonly onLook?: (held: number) => void;
  /** Monotonic milliseconds; given by tests. Default `performance.now`. */
  readonly clock?: () => number;
}
