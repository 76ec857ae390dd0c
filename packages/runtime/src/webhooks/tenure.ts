import { randomUUID } from 'node:crypto';
import type { ClaimedDelivery } from './delivery-queue.ts';
import { OrderingLanes, type OrderingLanesOptions } from './ordering-lanes.ts';

/** A delivery in a claimer's memory. */
export interface HeldDelivery {
  readonly endpointId: string;
  readonly group: string | null;
  readonly place: bigint;
  readonly claimed: ClaimedDelivery;
  /** Milliseconds since 1970 with a fraction, by our clock. */
  readonly claimedAt: number;
}

/**
 * The time during which a claimer's leases hold without a gap: its id, what it holds, and until when it may
 * believe that nobody else has it. When that ends, everything here is let go of and a new tenure, with a new
 * id, begins; so a process that was stopped past its lease sends nothing that it no longer holds.
 */
export class Tenure {
  readonly claimerId: string = randomUUID();
  readonly lanes: OrderingLanes<HeldDelivery>;
  readonly #leaseMs: number;
  readonly #open = new Map<string, HeldDelivery>();
  readonly #ended = new AbortController();
  /** By `performance.now()`: taken before the statement that claimed or renewed, so never too late. */
  #renewedAt = performance.now();
  #bytes = 0;

  constructor(options: OrderingLanesOptions & { readonly leaseMs: number }) {
    this.lanes = new OrderingLanes(options);
    this.#leaseMs = options.leaseMs;
  }

  /** Payload bytes of what is not finished. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether anything in the table is this claimer's, as far as memory knows. */
  get idle(): boolean {
    return this.#open.size === 0;
  }

  /** Ids of everything claimed and not settled. */
  get deliveryIds(): string[] {
    return [...this.#open.keys()];
  }

  /** Aborted when the tenure has ended. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Milliseconds until a renewal is due; infinite when there is nothing to renew. */
  renewalDueIn(now: number): number {
    return this.idle ? Number.POSITIVE_INFINITY : this.#renewedAt + this.#leaseMs / 3 - now;
  }

  expired(now: number): boolean {
    return !this.idle && now >= this.#renewedAt + this.#leaseMs;
  }

  /** All leases hold from `at` on. */
  renewed(at: number): void {
    this.#renewedAt = at;
  }

  /** Takes in what was claimed. Returns what must be released at once: it follows a failure of its group. */
  take(deliveries: readonly ClaimedDelivery[], at: number): readonly HeldDelivery[] {
    const refused: HeldDelivery[] = [];
    for (const claimed of deliveries) {
      const held: HeldDelivery = {
        endpointId: claimed.endpointId,
        group: claimed.group,
        place: BigInt(claimed.deliveryId),
        claimed,
        claimedAt: at,
      };
      this.#open.set(claimed.deliveryId, held);
      this.#bytes += size(held);
      if (!this.lanes.add(held)) refused.push(held);
    }
    for (const held of refused) this.#bytes -= size(held);
    return refused;
  }

  /** An attempt has succeeded. */
  succeed(held: HeldDelivery): void {
    this.#bytes -= size(held);
    this.lanes.succeed(held);
  }

  /** An attempt has failed. Returns what must be released with it. */
  fail(held: HeldDelivery): readonly HeldDelivery[] {
    this.#bytes -= size(held);
    return this.#dropped(this.lanes.fail(held));
  }

  /** Takes out what has not been sent, to be released. */
  empty(): readonly HeldDelivery[] {
    return this.#dropped(this.lanes.empty());
  }

  /** An outcome is stored; `failed` if it was an attempt that failed. */
  settled(held: HeldDelivery, outcome: { readonly failed: boolean }): void {
    this.#open.delete(held.claimed.deliveryId);
    if (outcome.failed) this.lanes.mend(held.group);
  }

  /** Ends it: requests under way are let go of. */
  end(): void {
    this.#ended.abort();
  }

  #dropped(deliveries: readonly HeldDelivery[]): readonly HeldDelivery[] {
    for (const held of deliveries) this.#bytes -= size(held);
    return deliveries;
  }
}

function size(held: HeldDelivery): number {
  return held.claimed.event?.payload.length ?? 0;
}
