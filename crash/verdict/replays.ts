import { type Deliveries, judge, type LedgerEntry, placeOf, type Verdict } from './verdict.ts';

/** A replay, by the harness's own record of it. */
export interface OrderedReplay {
  readonly id: string;
  readonly sink: string;
  /** What was committed and selected when it was made. */
  readonly eventIds: readonly string[];
}

/**
 * Judges what came to one sink by replays: of each replay every event that was selected, nothing else, unaltered, and each
 * entity in order, also where a crash made it begin again.
 *
 * @param deliveries all that came there; what is not marked is left alone
 * @returns a verdict on each replay
 */
export function judgeReplays(
  ledger: readonly LedgerEntry[],
  { replays, deliveries }: { readonly replays: readonly OrderedReplay[]; readonly deliveries: Deliveries },
): Verdict[] {
  const { sink } = deliveries;
  const selected = new Map<string, readonly LedgerEntry[]>();
  // A mark that nobody gave has nothing to bring.
  for (const { replay } of deliveries.arrivals) if (replay !== undefined) selected.set(replay, []);
  for (const { id, eventIds } of replays.filter((replay) => replay.sink === sink)) {
    selected.set(id, renumbered(ledger, new Set(eventIds)));
  }
  return [...selected].map(([id, entries]) =>
    judge(entries, {
      ...deliveries,
      sink: `${sink}, replay ${id}`,
      arrivals: deliveries.arrivals.filter(({ replay }) => replay === id),
      unexpected: 'was not selected',
    }),
  );
}

/** In each entity 1, 2, 3 …: of a selection there is no gap that a repetition could have. */
function renumbered(ledger: readonly LedgerEntry[], eventIds: ReadonlySet<string>): LedgerEntry[] {
  const last = new Map<string, number>();
  return ledger
    .filter(({ eventId }) => eventIds.has(eventId))
    .toSorted((a, b) => a.ordinal - b.ordinal)
    .map((entry) => {
      const ordinal = (last.get(placeOf(entry)) ?? 0) + 1;
      last.set(placeOf(entry), ordinal);
      return { ...entry, ordinal };
    });
}
