import { type LeaseRow, type LeaseUnit, leaseKey, signOfLife } from './lease.ts';

/** What a replica knows when it decides. */
export interface LeaseView {
  /** Every unit of the relay that this replica could do. */
  readonly wanted: readonly LeaseUnit[];
  /** The table, a moment ago. */
  readonly rows: readonly LeaseRow[];
  /** This replica's UUID. */
  readonly replica: string;
  /** As in its sign of life. */
  readonly group?: string | undefined;
  /** Keys of the units that this replica holds and means to keep. */
  readonly held: ReadonlySet<string>;
  /** Keys of units that it must not take now: its work on them has not ended, or has failed a moment ago. */
  readonly resting: ReadonlySet<string>;
}

export interface LeaseShare {
  /** Replicas with a valid sign of life, this one included. */
  readonly living: number;
  /** How many units each may hold: all of them by the number of the living, rounded up. */
  readonly share: number;
  /** What to try to acquire now. */
  readonly take: readonly LeaseUnit[];
  /** How many to give up, so that others can have them. */
  readonly surplus: number;
}

/**
 * A replica's fair share. Each decides for itself, and they may see different moments: nobody has two holders by a
 * wrong guess (acquiring decides that), it only takes a look more until all is even.
 */
export function leaseShare(view: LeaseView): LeaseShare {
  const alive = new Set([view.replica]);
  const rows = new Map<string, LeaseRow>();
  for (const row of view.rows) {
    rows.set(leaseKey(row.unit), row);
    const sign = signOfLife(row.holder, view.group);
    if (row.unit.sink === sign.sink && row.remainingMs > 0) alive.add(row.holder);
  }
  const share = Math.ceil(view.wanted.length / alive.size);
  const free = view.wanted.filter((unit) => {
    const key = leaseKey(unit);
    if (view.held.has(key) || view.resting.has(key)) return false;
    const row = rows.get(key);
    // Our own without our knowledge: the answer to an acquisition was lost.
    return row === undefined || row.remainingMs <= 0 || row.holder === view.replica;
  });
  // Each begins elsewhere, so that those who look at the same time do not all ask for the same unit.
  const first = free.length === 0 ? 0 : Number.parseInt(view.replica.slice(0, 8), 16) % free.length;
  return {
    living: alive.size,
    share,
    take: [...free.slice(first), ...free.slice(0, first)].slice(0, Math.max(0, share - view.held.size)),
    surplus: Math.max(0, view.held.size - share),
  };
}

/** Milliseconds until the next look: earlier than usual where another's lease is about to expire. */
export function nextLookMs(view: LeaseView, lookMs: number): number {
  const wanted = new Set(view.wanted.map(leaseKey));
  let next = lookMs;
  for (const { unit, remainingMs } of view.rows) {
    const key = leaseKey(unit);
    if (!wanted.has(key) || view.held.has(key) || remainingMs <= 0) continue;
    next = Math.min(next, Math.ceil(remainingMs) + 1);
  }
  return next;
}
