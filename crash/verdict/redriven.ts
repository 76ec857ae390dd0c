import { type Arrival, type LedgerEntry, nameOf, placeOf } from './verdict.ts';

/** A payload of so many bytes is more than the stream takes while events are poison, a smaller one is not. */
export const poisonBytes = 4_096;

/** When the harness made large events poison, and asked for letters. Milliseconds since 1970, by this machine's clock. */
export interface Redrives {
  readonly poisonedAt: readonly number[];
  /** In order; `answeredAt`: when it was settled what became of the request. */
  readonly requests: ReadonlyArray<{ readonly startedAt: number; readonly answeredAt: number }>;
  /** How many letters were asked for, as the product answers. */
  readonly letters: number;
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

/** What came late for a good reason. */
export interface Redriven {
  readonly late: ReadonlySet<string>;
  /** How many of them came after letters were asked for. */
  readonly redriven: number;
  readonly passed: readonly Passed[];
}

/**
 * The events that came late because the stream had refused them, and letters that came in a wrong order.
 *
 * An event may come after later ones of its entity only if it is large enough to be poison, and something was made poison
 * before the first of those came; every other one that is late is judged as ever. It need not have been redriven: a
 * relay that is killed before it has written down the refusal hands it over again.
 *
 * Letters are asked for once all is written down that was refused, and nothing is refused until events are made poison
 * again: so what comes late between a request and that was asked for by then. From the first such letter of an entity
 * until the last nothing may come that is newer than one which is still to come. How soon after a request the first letter
 * comes, and so what goes before it meanwhile, is not judged.
 *
 * @param arrivals in the stream's order, none of a replay
 */
export function findRedriven(
  ledger: readonly LedgerEntry[],
  { arrivals, redrives }: { readonly arrivals: readonly Arrival[]; readonly redrives: Redrives },
): Redriven {
  const late = new Set<string>();
  const passed: Passed[] = [];
  let redriven = 0;
  for (const firsts of byEntity(ledger, arrivals).values()) {
    /** Where the first letter came, by the request before it. */
    const begun = new Map<number, number>();
    for (const [place, { entry, at }] of firsts.entries()) {
      const newer = firsts.slice(0, place).find((each) => each.entry.ordinal > entry.ordinal);
      if (newer === undefined || !mayBeLate(entry, newer, redrives)) continue;
      late.add(entry.eventId);
      if (redrives.requests.some(({ startedAt }) => startedAt <= at)) redriven += 1;
      const request = requestBefore(at, redrives);
      if (request === undefined) continue;
      const from = begun.get(request) ?? place;
      begun.set(request, from);
      const before = firsts.slice(from, place).find((each) => each.entry.ordinal > entry.ordinal);
      if (before === undefined) continue;
      const line = `${nameOf(entry)}: a letter that was redriven came after ${nameOf(before.entry)}, which was to wait for it`;
      passed.push({ eventId: entry.eventId, line });
    }
  }
  return { late, redriven, passed };
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

function mayBeLate(entry: LedgerEntry, newer: First, { poisonedAt }: Redrives): boolean {
  return entry.bytes >= poisonBytes && poisonedAt.some((at) => at <= newer.at);
}

/** Which request was settled before, with nothing made poison since; undefined: none, or another one may be under way. */
function requestBefore(at: number, { poisonedAt, requests }: Redrives): number | undefined {
  const last = requests.findLastIndex(({ startedAt }) => startedAt <= at);
  const answeredAt = requests[last]?.answeredAt;
  if (answeredAt === undefined || answeredAt > at) return undefined;
  return poisonedAt.some((each) => each >= answeredAt - 1 && each <= at) ? undefined : last;
}
