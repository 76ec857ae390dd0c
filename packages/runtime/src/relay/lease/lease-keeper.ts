import { type Deferred, deferred } from '../../internal/deferred.ts';
import { orAborted } from '../../internal/or-aborted.ts';
import { type RunContext, Service } from '../../lifecycle/service.ts';
import {
  acquireLease,
  deleteOldLeases,
  type LeaseUnit,
  leaseKey,
  listLeases,
  releaseLease,
  renewLeases,
  signOfLife,
} from './lease.ts';
import type { LeaseChange, LeaseKeeperOptions } from './lease-options.ts';
import { LeaseRest } from './lease-rest.ts';
import { type LeaseView, leaseShare, nextLookMs } from './lease-share.ts';
import { type HeldLease, LeaseTerm } from './lease-term.ts';

/** Rows that expired longer ago are deleted, and how often that is looked after. Milliseconds. */
const oldMs = 3_600_000;
const cleanMs = 600_000;

/** A failed renewal is repeated after this part of `renewMs`. */
const repeatPart = 5;

interface Tended {
  readonly term: LeaseTerm;
  readonly since: number;
  /** Resolves when the work has ended and the unit was given back. */
  ended: Promise<void>;
}

/**
 * Holds this replica's fair share of some units, and does the work of each under its lease.
 *
 * Invariants (lease-keeper.pg.test.ts):
 * 1. A unit has at most one valid lease at a time, whatever is killed, stopped or cut off.
 * 2. The epochs of a unit grow strictly.
 * 3. Work is asked to end before its lease has expired in the database.
 * 4. A unit given up on purpose stays leased until its work has ended, and is free at once then.
 */
export class LeaseKeeper extends Service {
  readonly #options: LeaseKeeperOptions;
  readonly #clock: () => number;
  readonly #ttlMs: number;
  readonly #validMs: number;
  readonly #renewMs: number;
  readonly #lookMs: number;
  readonly #rest: LeaseRest;
  readonly #tended = new Map<string, Tended>();
  readonly #sign: LeaseUnit;
  #signEpoch: bigint | undefined;
  #wanted: readonly LeaseUnit[];
  #cleanedAt = Number.NEGATIVE_INFINITY;
  #bell: Deferred<void> = deferred();
  /** Aborted when no work is left that needs a lease. */
  readonly #idle = new AbortController();
  /** Aborted when no statement is to be waited for any more. */
  readonly #done = new AbortController();

  constructor(options: LeaseKeeperOptions) {
    super('lease-keeper');
    this.#options = options;
    this.#clock = options.clock ?? (() => performance.now());
    this.#ttlMs = options.ttlMs ?? 3_500;
    this.#validMs = this.#ttlMs - (options.marginMs ?? this.#ttlMs / 8);
    this.#renewMs = options.renewMs ?? 1_000;
    this.#lookMs = options.lookMs ?? 500;
    this.#rest = new LeaseRest(this.#clock, options);
    this.#wanted = options.units;
    this.#sign = signOfLife(options.replica, options.group);
  }

  /** What this replica holds at this moment, in the order of acquisition. */
  get held(): readonly HeldLease[] {
    return [...this.#tended.values()].map(({ term }) => term).filter((term) => term.valid());
  }

  /** From now on these are looked for. Work on others is asked to end. */
  want(units: readonly LeaseUnit[]): void {
    this.#wanted = units;
    this.#bell.resolve();
  }

  /** Stopping: the work is asked to end, and what it had is free at once. Aborted: the leases end by themselves. */
  protected override async run(context: RunContext): Promise<void> {
    const letGo = (): void => this.#letGo();
    context.aborted.addEventListener('abort', letGo, { once: true });
    context.ready();
    const renewing = this.#renewUntilIdle();
    try {
      await this.#lookUntil(context.stopping);
      for (const { term } of this.#tended.values()) term.yield();
      await orAborted(Promise.all([...this.#tended.values()].map(({ ended }) => ended)), context.aborted);
      // A statement that is on its way is waited for: what it takes must be released too.
      this.#idle.abort();
      await renewing;
      await this.#releaseSign();
    } finally {
      context.aborted.removeEventListener('abort', letGo);
      this.#letGo();
      await renewing;
    }
  }

  /** No statement any more; what is left of the leases expires. */
  #letGo(): void {
    this.#idle.abort();
    this.#done.abort();
    for (const { term } of this.#tended.values()) term.lose();
  }

  async #renewUntilIdle(): Promise<void> {
    while (!this.#idle.signal.aborted) {
      const began = this.#clock();
      const renewed = await this.#attempt(async () => await this.#renew(began));
      const pauseMs =
        renewed === undefined ? this.#renewMs / repeatPart : began + this.#renewMs - this.#clock();
      await pause(pauseMs, { signal: this.#idle.signal });
    }
  }

  /** Everything in one statement; also what is to be given up, as long as its work has not ended. */
  async #renew(sentAt: number): Promise<true> {
    const terms = [...this.#tended.values()].map(({ term }) => term).filter((term) => term.valid());
    const sign = this.#signEpoch === undefined ? [] : [{ unit: this.#sign, epoch: this.#signEpoch }];
    const leases = [...terms, ...sign];
    const answers =
      leases.length === 0
        ? []
        : await renewLeases(this.#options.pool, { ...this.#statement, leases, ttlMs: this.#ttlMs });
    for (const [index, term] of terms.entries()) {
      if (answers[index] === true) term.renewed(sentAt);
      else term.lose();
    }
    if (sign.length === 0 || answers[terms.length] !== true) await this.#acquireSign();
    return true;
  }

  async #acquireSign(): Promise<void> {
    const { pool } = this.#options;
    const first = this.#signEpoch === undefined;
    const wanted = { ...this.#statement, unit: this.#sign, ttlMs: this.#ttlMs };
    this.#signEpoch = (await acquireLease(pool, wanted)) ?? undefined;
    if (first) this.#bell.resolve();
  }

  async #releaseSign(): Promise<void> {
    const epoch = this.#signEpoch;
    if (epoch === undefined || this.#done.signal.aborted) return;
    const released = { ...this.#statement, unit: this.#sign, epoch };
    await this.#attempt(async () => await releaseLease(this.#options.pool, released));
  }

  async #lookUntil(stopping: AbortSignal): Promise<void> {
    while (!stopping.aborted) {
      // Made before the look: what rings during it is answered by another one.
      this.#bell = deferred();
      const bell = this.#bell.promise;
      // Whoever looks without being seen by the others takes too much.
      const seen = this.#signEpoch !== undefined;
      const nextMs = seen ? await this.#attempt(async () => await this.#look(stopping)) : undefined;
      const pauseMs = Math.min(nextMs ?? this.#lookMs, this.#rest.endsInMs);
      await pause(pauseMs, { signal: stopping, bell });
    }
  }

  /** @returns milliseconds until the next look */
  async #look(stopping: AbortSignal): Promise<number> {
    const { pool, relay, replica, group } = this.#options;
    await this.#clean();
    const rows = await listLeases(pool, { ...this.#statement, relay });
    const wanted = this.#wanted;
    const view = (): LeaseView => {
      const keys = (kept: boolean): string[] =>
        [...this.#tended].filter(([, { term }]) => isKept(term) === kept).map(([key]) => key);
      const resting = new Set([...keys(false), ...this.#rest.resting]);
      return { wanted, rows, replica, group, held: new Set(keys(true)), resting };
    };
    this.#giveUpUnwanted();
    const share = leaseShare(view());
    if (share.surplus > 0) this.#giveUpOne();
    for (const unit of share.take) {
      if (stopping.aborted) break;
      await this.#take(unit);
    }
    const after = view();
    this.#options.onLook?.(after.held.size);
    return nextLookMs(after, this.#lookMs);
  }

  async #clean(): Promise<void> {
    if (this.#clock() - this.#cleanedAt < cleanMs) return;
    this.#cleanedAt = this.#clock();
    const { pool, relay } = this.#options;
    await deleteOldLeases(pool, { ...this.#statement, relay, expiredForMs: oldMs });
  }

  #giveUpUnwanted(): void {
    const wanted = new Set(this.#wanted.map(leaseKey));
    for (const [key, { term }] of this.#tended) if (!wanted.has(key)) term.yield();
  }

  /** One at a time, the youngest first; the next when its work has ended. */
  #giveUpOne(): void {
    const terms = [...this.#tended.values()].map(({ term }) => term);
    if (terms.some((term) => term.signal.aborted)) return;
    terms.at(-1)?.yield();
  }

  async #take(unit: LeaseUnit): Promise<void> {
    const sentAt = this.#clock();
    const epoch = await acquireLease(this.#options.pool, { ...this.#statement, unit, ttlMs: this.#ttlMs });
    if (epoch === null) return;
    this.#tell({ kind: 'acquired', unit, epoch });
    const term = new LeaseTerm({
      ...{ unit, epoch, sentAt, validMs: this.#validMs, clock: this.#clock },
      onLost: () => this.#tell({ kind: 'lost', unit, epoch }),
    });
    const tended: Tended = { term, since: sentAt, ended: Promise.resolve() };
    this.#tended.set(leaseKey(unit), tended);
    tended.ended = this.#tend(tended);
  }

  /** Never rejects. */
  async #tend(tended: Tended): Promise<void> {
    const { term } = tended;
    const key = leaseKey(term.unit);
    try {
      // An acquisition whose answer took too long is lost before anything was done.
      if (term.valid()) await this.#options.work(term, term.signal);
      // A return that nobody asked for must not become a fast circle.
      this.#rest.succeeded(key, { restMs: term.signal.aborted ? 0 : this.#lookMs });
    } catch (error) {
      this.#failed(tended, error);
    }
    const mayRelease = term.valid();
    term.close();
    if (mayRelease) await this.#release(term);
    this.#tended.delete(key);
    this.#bell.resolve();
  }

  #failed({ term, since }: Tended, error: unknown): void {
    const { signal, unit } = term;
    // The echo of our own asking.
    if (signal.aborted && error instanceof Error && error.name === 'AbortError') return;
    const rest = this.#rest.failed(leaseKey(unit), this.#clock() - since);
    this.#options.onFailure?.({ unit, error, ...rest });
  }

  async #release({ unit, epoch }: LeaseTerm): Promise<void> {
    const given = await this.#attempt(
      async () => await releaseLease(this.#options.pool, { ...this.#statement, unit, epoch }),
    );
    this.#tell(given === true ? { kind: 'released', unit, epoch } : { kind: 'lost', unit, epoch });
  }

  get #statement(): {
    readonly holder: LeaseKeeperOptions;
    readonly timeoutMs: number;
    readonly signal: AbortSignal;
  } {
    return { holder: this.#options, timeoutMs: this.#renewMs, signal: this.#done.signal };
  }

  /** @returns undefined when it failed, which is told */
  async #attempt<T>(statement: () => Promise<T>): Promise<T | undefined> {
    try {
      return await statement();
    } catch (error) {
      if (!this.#done.signal.aborted) this.#tell({ kind: 'trouble', error });
      return undefined;
    }
  }

  #tell(change: LeaseChange): void {
    this.#options.onChange?.(change);
  }
}

/** Whether it is held and meant to be kept. */
function isKept(term: LeaseTerm): boolean {
  return !term.over && !term.signal.aborted;
}

async function pause(
  milliseconds: number,
  until: { readonly signal: AbortSignal; readonly bell?: Promise<void> },
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, Math.max(0, milliseconds));
    void until.bell?.then(resolve);
  });
  try {
    await orAborted(over, until.signal);
  } finally {
    clearTimeout(timer);
  }
}
