/** What the lanes need to know of a delivery. */
export interface Laned {
  readonly endpointId: string;
  /** Deliveries with the same group go one after another; null: free of any order. */
  readonly group: string | null;
  /** What the order of a group goes by, the least first. */
  readonly place: bigint;
}

export interface OrderingLanesOptions {
  /** Most deliveries under way at once. */
  readonly inFlight: number;
  /** Most deliveries under way at once to one endpoint. */
  readonly inFlightPerEndpoint: number;
}

interface Lane<T> {
  readonly group: string | null;
  readonly endpointId: string;
  readonly waiting: T[];
  /** A delivery failed and the failure is not yet stored: nothing of this group may be sent. */
  broken: boolean;
  busy: boolean;
}

/**
 * Which of the claimed deliveries may be sent now. Knows no clock, no network and no database.
 *
 * Invariants (ordering-lanes.test.ts):
 * 1. Of one group at most one delivery is under way, and what waits comes by its place: in the order in which it was
 *    added, but for a dead letter that is redriven, which goes before what is newer.
 * 2. After a failure nothing of the group comes until {@link mend}; what waited, or is added meanwhile, is
 *    given back to be released.
 * 3. The limits hold, and a group that waits, or an endpoint at its limit, keeps no other from coming.
 */
export class OrderingLanes<T extends Laned> {
  readonly #limits: OrderingLanesOptions;
  readonly #lanes = new Map<string, Lane<T>>();
  /** Lanes with something to send and nothing under way, the longest waiting first. */
  #ready = new Set<Lane<T>>();
  readonly #inFlightBy = new Map<string, number>();
  readonly #heldBy = new Map<string, number>();
  #inFlight = 0;
  #held = 0;

  constructor(limits: OrderingLanesOptions) {
    this.#limits = limits;
  }

  /** Deliveries that are here, waiting or under way. */
  get held(): number {
    return this.#held;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Deliveries of one endpoint that are here. */
  heldBy(endpointId: string): number {
    return this.#heldBy.get(endpointId) ?? 0;
  }

  /** Endpoints that hold at least so many deliveries here. */
  endpointsHolding(least: number): string[] {
    return [...this.#heldBy].filter(([, held]) => held >= least).map(([endpointId]) => endpointId);
  }

  /** Takes a delivery in. False: its group is broken, and the delivery is to be released. */
  add(delivery: T): boolean {
    const { group, endpointId } = delivery;
    let lane = group === null ? undefined : this.#lanes.get(group);
    if (lane?.broken === true) return false;
    if (lane === undefined) {
      lane = { group, endpointId, waiting: [], broken: false, busy: false };
      if (group !== null) this.#lanes.set(group, lane);
    }
    let at = lane.waiting.length;
    for (; at > 0; at -= 1) if ((lane.waiting[at - 1] as T).place < delivery.place) break;
    lane.waiting.splice(at, 0, delivery);
    if (!lane.busy) this.#ready.add(lane);
    this.#held += 1;
    count(this.#heldBy, endpointId, 1);
    return true;
  }

  /** The next delivery to send, now under way; undefined when there is none or a limit is reached. */
  next(): T | undefined {
    if (this.#inFlight >= this.#limits.inFlight) return undefined;
    for (const lane of this.#ready) {
      if ((this.#inFlightBy.get(lane.endpointId) ?? 0) >= this.#limits.inFlightPerEndpoint) continue;
      const delivery = lane.waiting.shift();
      this.#ready.delete(lane);
      if (delivery === undefined) continue;
      lane.busy = true;
      this.#inFlight += 1;
      count(this.#inFlightBy, lane.endpointId, 1);
      return delivery;
    }
    return undefined;
  }

  /** A delivery that was under way has succeeded: the next of its group may follow. */
  succeed(delivery: T): void {
    const lane = this.#land(delivery);
    if (lane === undefined) return;
    if (lane.waiting.length > 0) this.#ready.add(lane);
    else if (lane.group !== null) this.#lanes.delete(lane.group);
  }

  /** A delivery that was under way has failed. Returns what waited behind it, to be released. */
  fail(delivery: T): readonly T[] {
    const lane = this.#land(delivery);
    if (lane === undefined) return [];
    lane.broken = true;
    const behind = lane.waiting.splice(0);
    this.#forget(behind);
    return behind;
  }

  /** A failure of the group, and the release of what was behind it, is stored: claims can be trusted again. */
  mend(group: string | null): void {
    if (group !== null && this.#lanes.get(group)?.broken === true) this.#lanes.delete(group);
  }

  /** Takes out everything that waits; what is under way stays. */
  empty(): readonly T[] {
    const waiting = [...this.#ready, ...this.#lanes.values()].flatMap((lane) => lane.waiting.splice(0));
    this.#ready = new Set();
    this.#forget(waiting);
    return waiting;
  }

  #land(delivery: T): Lane<T> | undefined {
    this.#inFlight -= 1;
    count(this.#inFlightBy, delivery.endpointId, -1);
    this.#forget([delivery]);
    if (delivery.group === null) return undefined;
    const lane = this.#lanes.get(delivery.group);
    if (lane !== undefined) lane.busy = false;
    return lane;
  }

  #forget(deliveries: readonly T[]): void {
    this.#held -= deliveries.length;
    for (const { endpointId } of deliveries) count(this.#heldBy, endpointId, -1);
  }
}

function count(counts: Map<string, number>, key: string, change: number): void {
  const value = (counts.get(key) ?? 0) + change;
  if (value > 0) counts.set(key, value);
  else counts.delete(key);
}
