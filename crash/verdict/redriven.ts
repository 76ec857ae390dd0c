import { type Arrival, type LedgerEntry, nameOf, placeOf } from './verdict.ts';

/** A payload of so many bytes is more than the stream takes while events are poison, a smaller one is not. */
export const poisonBytes = 4_096;

/** When the harness made large events poison, and asked for letters. Milliseconds since 1970, by this machine's clock. */
export interface Redrives {
  readonly poisonedAt: readonly number[];
  /** In order; `answeredAt`: when it was settled what became of the request. */
  readonly requests: ReadonlyArray<{ readonly startedAt: number; readonly answeredAt: number }>;
}

/** An event that passed a letter of its entity which was to come before. */
export interface Passed {
  readonly eventId: string;
  readonly line: string;
}

/** An event, when it came for the first time. */
interface First {
  readonly entry: LedgerEntry;
  readonly at: number;
}

/**
 * The events that came late because they had been dead letters, and those of them that came in a wrong order.
 *
 * An event may come after later ones of its entity only if it is large enough to be poison, some of it was made poison
 * before the first of those came, and letters were asked for since then and before it came: every other one that is late
 * is judged as ever. Where several letters of an entity come between two requests, they were asked for together at
 * the latest: from the first of them until the last nothing may come that is newer than a letter which is still to come.
 * How soon after a request the first letter comes, and so what goes before it meanwhile, is not judged.
 *
 * @param arrivals in the stream's order, none of a replay
 */
export function findRedriven(
  ledger: readonly LedgerEntry[],
  { arrivals, redrives }: { readonly arrivals: readonly Arrival[]; readonly redrives: Redrives },
): { readonly late: ReadonlySet<string>; readonly passed: readonly Passed[] } {
  const late = new Set<string>();
  const passed: Passed[] = [];
  for (const firsts of byEntity(ledger, arrivals).values()) {
    /** Where the first letter came, by the request before it. */
    const begun = new Map<number, number>();
    for (const [place, { entry, at }] of firsts.entries()) {
      const newer = firsts.slice(0, place).find((each) => each.entry.ordinal > entry.ordinal);
      if (newer === undefined || !excused(entry, { at, newerAt: newer.at, redrives })) continue;
      late.add(entry.eventId);
      const request = requestBefore(at, redrives);
      if (request === undefined) continue;
      const from = begun.get(request);
      if (from === undefined) begun.set(request, place);
      const before = firsts.slice(from ?? place, place).find((each) => each.entry.ordinal > entry.ordinal);
      if (before === undefined) continue;
      const line = `${nameOf(entry)}: a letter that was redriven came after ${nameOf(before.entry)}, which was to wait for it`;
      passed.push({ eventId: entry.eventId, line });
    }
  }
  return { late, passed };
}

function byEntity(ledger: readonly LedgerEntry[], arrivals: readonly Arrival[]): Map<string, First[]> {
  const entries = new Map(ledger.map((entry) => [entry.eventId, entry]));
  const seen = new Set<string>();
  const entities = new Map<string, First[]>();
  for (const { eventId, at } of arrivals) {
    const entry = entries.get(eventId);
    if (entry === undefined || seen.has(eventId)) continue;
    seen.add(eventId);
    const place = placeOf(entry);
    const firsts = entities.get(place);
    if (firsts === undefined) entities.set(place, [{ entry, at }]);
    else firsts.push({ entry, at });
  }
  return entities;
}

function excused(
  entry: LedgerEntry,
  came: { readonly at: number; readonly newerAt: number; readonly redrives: Redrives },
): boolean {
  const { at, newerAt, redrives } = came;
  if (entry.bytes < poisonBytes) return false;
  const [poisonedAt] = redrives.poisonedAt;
  if (poisonedAt === undefined || poisonedAt > newerAt) return false;
  return redrives.requests.some(({ startedAt }) => startedAt >= poisonedAt && startedAt <= at);
}

/** Which request was settled before; undefined: another may have been made at that moment. */
function requestBefore(at: number, { requests }: Redrives): number | undefined {
  const last = requests.findLastIndex(({ startedAt }) => startedAt <= at);
  const answeredAt = requests[last]?.answeredAt;
  return answeredAt === undefined || answeredAt > at ? undefined : last;
}
