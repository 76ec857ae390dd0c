import type { LeaseUnit } from './lease.ts';

/** A lease that this process has, given to the work that is done under it. */
export interface HeldLease {
  readonly unit: LeaseUnit;
  /** Higher than that of every holder before. To be written with everything that others could overwrite. */
  readonly epoch: bigint;
  /**
   * Whether nobody else can have the unit now. Judged by the local monotonic clock, from before the last renewal was
   * sent: a process that was stopped and continued sees at once that it has none any more. Once false, always false.
   *
   * It cannot see a step of the database's clock, nor the time that a virtual machine was suspended: therefore the
   * epoch.
   */
  valid(): boolean;
  /** Aborted when it has ended otherwise than by the end of its work: nothing may be written any more. */
  readonly lost: AbortSignal;
}

export interface LeaseTermOptions {
  readonly unit: LeaseUnit;
  readonly epoch: bigint;
  /** By the clock, before the acquisition was sent. */
  readonly sentAt: number;
  /** Milliseconds that a lease is valid from the moment its acquisition or renewal was sent. */
  readonly validMs: number;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** Called once, when it ends in another way than by {@link LeaseTerm.close}. */
  readonly onLost: (term: LeaseTerm) => void;
}

/**
 * The time during which this process has a lease: from an acquisition until it is lost, or the work under it has ended.
 *
 * Two ends: {@link yield} asks the work to come to an end while the lease still holds (what is under way may be
 * written); after {@link lose} it is too late for that.
 */
export class LeaseTerm implements HeldLease {
  readonly unit: LeaseUnit;
  readonly epoch: bigint;
  readonly #options: LeaseTermOptions;
  readonly #ending = new AbortController();
  readonly #lost = new AbortController();
  #validUntil: number;
  #over = false;
  #watch: NodeJS.Timeout | undefined;

  constructor(options: LeaseTermOptions) {
    this.unit = options.unit;
    this.epoch = options.epoch;
    this.#options = options;
    this.#validUntil = options.sentAt + options.validMs;
    this.#arm();
  }

  /** Aborted when the work is to end: the lease is to be given up, or is lost. */
  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Whether it was lost or closed. */
  get over(): boolean {
    return this.#over;
  }

  valid(): boolean {
    if (!this.#over && this.#options.clock() >= this.#validUntil) this.lose();
    return !this.#over;
  }

  /** A renewal that was sent at `sentAt` has succeeded. It never brings back what has ended meanwhile. */
  renewed(sentAt: number): void {
    if (!this.valid()) return;
    this.#validUntil = Math.max(this.#validUntil, sentAt + this.#options.validMs);
    this.#arm();
  }

  /** Asks the work to end. The lease holds, and must be renewed, until {@link close}. */
  yield(): void {
    this.#ending.abort(new DOMException('The lease is to be given up', 'AbortError'));
  }

  /** It is not ours any more, or may not be. */
  lose(): void {
    if (this.#over) return;
    this.close();
    const reason = new DOMException('The lease is lost', 'AbortError');
    this.#lost.abort(reason);
    this.#ending.abort(reason);
    this.#options.onLost(this);
  }

  /** The work has ended: there is nothing to watch. */
  close(): void {
    this.#over = true;
    clearTimeout(this.#watch);
  }

  /** The end must come without anybody asking: a renewal may hang, and the work may wait for something. */
  #arm(): void {
    clearTimeout(this.#watch);
    if (this.#over) return;
    this.#watch = setTimeout(
      () => {
        if (this.valid()) this.#arm();
      },
      Math.max(1, this.#validUntil - this.#options.clock()),
    );
  }
}
