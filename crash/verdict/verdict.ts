/** What a producing transaction recorded of one event, in a table of its own. */
export interface LedgerEntry {
  readonly eventId: string;
  readonly tenant: string;
  readonly entityKey: string;
  readonly eventType: string;
  /** 1 for the first committed event of (tenant, entity key); drawn under the entity's row lock. */
  readonly ordinal: number;
  /** SHA-256 of the payload as it was written, in lower-case hexadecimal. */
  readonly sha256: string;
  /** Of the payload. */
  readonly bytes: number;
}

/** One delivery, as the receiving side wrote it down. */
export interface Arrival {
  readonly eventId: string;
  readonly tenant: string;
  readonly entityKey: string;
  readonly sha256: string;
  /** Where in a stream it is. */
  readonly subject?: string;
  /** By which replay it came; undefined: by none. */
  readonly replay?: string | undefined;
  /** Milliseconds since 1970, with a fraction, by the receiver's clock; 0 where that is not written down. */
  readonly at: number;
}

export type DifferenceKind = 'lost' | 'phantom' | 'reordered' | 'corrupted';

export interface Difference {
  readonly kind: DifferenceKind;
  readonly sink: string;
  readonly eventId: string;
  /** One readable line: which event, what was expected, what came. */
  readonly line: string;
}

/** What was committed compared with what was received by one sink, or by several together. */
export interface Verdict {
  /** Events that were committed, and so were to be delivered; once for each sink. */
  readonly committed: number;
  /** Of these, how many never came. */
  readonly lost: number;
  /** Event ids that came and were never committed. */
  readonly phantom: number;
  /**
   * Events whose first arrival came after the first arrival of a later event of the same entity, and arrivals that skip
   * events while those before are repeated: who begins again goes on from there, one after another.
   */
  readonly reordered: number;
  /** Arrivals whose bytes, tenant, entity or subject are not the event's. */
  readonly corrupted: number;
  /** Arrivals beyond the first of each event id: no fault, delivery is at least once. */
  readonly duplicates: number;
  /** The first ten differences. */
  readonly differences: readonly Difference[];
}

/** What came at one sink. */
export interface Deliveries {
  /** The sink's name. */
  readonly sink: string;
  /** In the order in which it came. */
  readonly arrivals: readonly Arrival[];
  /** The subject that an event must have there; undefined where there are none. */
  readonly subjectOf?: (entry: LedgerEntry) => string;
  /** Events that came late for a good reason: their place among the others is not judged. */
  readonly late?: ReadonlySet<string>;
  /**
   * When two may have sent. One that was stopped between its last look at the clock and the write sends one request for
   * each connection when it is continued, in the middle of what the other repeats: no sender can prevent that. So a
   * repetition need not go on with the next event then. Milliseconds since 1970.
   */
  readonly twoSenders?: ReadonlyArray<{ readonly from: number; readonly to: number }>;
  /** What is wrong with an event that came and is not in the list. Default `was never committed`. */
  readonly unexpected?: string;
}

/** How many differences are named. */
const namedDifferences = 10;

/**
 * Judges one sink.
 *
 * @param ledger every committed event, in any order
 */
export function judge(ledger: readonly LedgerEntry[], deliveries: Deliveries): Verdict {
  const { sink, arrivals, subjectOf, late, twoSenders = [], unexpected = 'was never committed' } = deliveries;
  const committed = new Map(ledger.map((entry) => [entry.eventId, entry]));
  const differences: Difference[] = [];
  const counts = { lost: 0, phantom: 0, reordered: 0, corrupted: 0 };
  const found = (kind: DifferenceKind, eventId: string, line: string): void => {
    counts[kind] += 1;
    if (differences.length < namedDifferences) differences.push({ kind, sink, eventId, line });
  };
  const seen = new Set<string>();
  const latest = new Map<string, LedgerEntry>();
  /** The last arrival, where it was a repetition of what had been passed already. */
  const repeating = new Map<string, LedgerEntry>();
  for (const arrival of arrivals) {
    const { eventId } = arrival;
    const entry = committed.get(eventId);
    const again = seen.has(eventId);
    seen.add(eventId);
    if (entry === undefined) {
      if (!again) found('phantom', eventId, `${eventId} (${placeOf(arrival)}): came, but ${unexpected}`);
      continue;
    }
    const wrong = mismatch(entry, arrival, subjectOf?.(entry));
    if (wrong !== undefined) found('corrupted', eventId, `${nameOf(entry)}: ${wrong}`);
    if (late?.has(eventId) === true) continue;
    const place = placeOf(entry);
    const repeated = repeating.get(place);
    const before = latest.get(place);
    const alone = twoSenders.every(({ from, to }) => arrival.at < from || arrival.at > to);
    if (alone && repeated !== undefined && entry.ordinal > repeated.ordinal + 1) {
      found('reordered', eventId, `${nameOf(entry)}: came after ${nameOf(repeated)}, which had been passed`);
    }
    if (again && before !== undefined && entry.ordinal < before.ordinal) repeating.set(place, entry);
    else repeating.delete(place);
    if (again) continue;
    if (before === undefined || before.ordinal < entry.ordinal) latest.set(place, entry);
    else found('reordered', eventId, `${nameOf(entry)}: came first after ${nameOf(before)}`);
  }
  for (const entry of ledger) {
    if (!seen.has(entry.eventId)) found('lost', entry.eventId, `${nameOf(entry)}: never came`);
  }
  return { committed: ledger.length, ...counts, duplicates: arrivals.length - seen.size, differences };
}

/** The verdict on several sinks. */
export function sumOf(verdicts: readonly Verdict[]): Verdict {
  const sum = (of: (verdict: Verdict) => number): number =>
    verdicts.reduce((total, verdict) => total + of(verdict), 0);
  return {
    committed: sum((verdict) => verdict.committed),
    lost: sum((verdict) => verdict.lost),
    phantom: sum((verdict) => verdict.phantom),
    reordered: sum((verdict) => verdict.reordered),
    corrupted: sum((verdict) => verdict.corrupted),
    duplicates: sum((verdict) => verdict.duplicates),
    differences: verdicts.flatMap((verdict) => verdict.differences).slice(0, namedDifferences),
  };
}

/**
 * Checks the bookkeeping itself.
 *
 * @throws Error when the counters of an entity have a gap or a repetition: then the ledger judges nobody
 */
export function requireGapless(ledger: readonly LedgerEntry[]): void {
  const ordinals = new Map<string, number[]>();
  for (const entry of ledger) {
    const place = placeOf(entry);
    const list = ordinals.get(place);
    if (list === undefined) ordinals.set(place, [entry.ordinal]);
    else list.push(entry.ordinal);
  }
  for (const [place, list] of ordinals) {
    const wrong = list.toSorted((a, b) => a - b).findIndex((ordinal, index) => ordinal !== index + 1);
    if (wrong !== -1)
      throw new Error(`the ledger of ${place} has no event no. ${wrong + 1}, or has it twice`);
  }
}

/** @param subject the one that it must have; undefined where there are none */
function mismatch(entry: LedgerEntry, arrival: Arrival, subject: string | undefined): string | undefined {
  const pairs: ReadonlyArray<readonly [what: string, wanted: string, came: string]> = [
    ['sha256 of the payload', entry.sha256, arrival.sha256],
    ['tenant', entry.tenant, arrival.tenant],
    ['entity key', entry.entityKey, arrival.entityKey],
    ['subject', subject ?? '', arrival.subject ?? ''],
  ];
  const wrong = pairs.find(([, wanted, came]) => wanted !== came);
  return wrong === undefined ? undefined : `${wrong[0]} is ${wrong[1]}, but ${wrong[2]} came`;
}

/** Whose order it is in. */
export function placeOf(event: { readonly tenant: string; readonly entityKey: string }): string {
  return `${event.tenant} ${event.entityKey}`;
}

/** An event for a reader. */
export function nameOf(entry: LedgerEntry): string {
  return `${entry.eventId} (${placeOf(entry)} no. ${entry.ordinal})`;
}
