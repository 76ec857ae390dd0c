import { findRedriven, type Redrives } from './redriven.ts';
import { judgeReplays, type OrderedReplay } from './replays.ts';
import {
  type Arrival,
  type Deliveries,
  type Difference,
  judge,
  type LedgerEntry,
  sumOf,
  type Verdict,
} from './verdict.ts';

/** A stream knows a message again for two minutes; less a margin, for it is not told to the millisecond. */
const knownMs = 110_000;

/** All that came, and what the harness itself ordered meanwhile. */
export interface Evidence {
  readonly sinks: readonly Deliveries[];
  /** A sink among them that deduplicates; its dead letters are redriven. */
  readonly stream: Deliveries | undefined;
  readonly replays: readonly OrderedReplay[];
  readonly redrives: Redrives;
  /** Later events of an entity wait behind a dead letter of it: there is no good reason to come late. */
  readonly lettersHold: boolean;
}

export interface WholeVerdict extends Verdict {
  /** Messages that the stream took again within its duplicate window, one of a replay apart from the event's own. */
  readonly twice: number;
  /** Events that replays were to bring, once for each replay. */
  readonly replayed: number;
  /**
   * Events that came late into the stream, which had refused them, after their letters were asked for; where letters hold
   * and none may be late, how many were asked for.
   */
  readonly redriven: number;
}

/** What was committed, compared with what each sink has; what replays brought apart, each by itself. */
export function judgeAll(ledger: readonly LedgerEntry[], evidence: Evidence): WholeVerdict {
  const { replays, redrives } = evidence;
  const { stream, forgotten } = withoutForgotten(evidence.stream);
  const all = stream === undefined ? evidence.sinks : [...evidence.sinks, stream];
  const unmarked = stream?.arrivals.filter(({ replay }) => replay === undefined) ?? [];
  const { late, redriven, passed } = evidence.lettersHold
    ? { late: new Set<string>(), redriven: redrives.letters, passed: [] }
    : findRedriven(ledger, { arrivals: unmarked, redrives });
  const verdicts: Verdict[] = [];
  let twice = 0;
  for (const deliveries of all) {
    const arrivals = deliveries.arrivals.filter(({ replay }) => replay === undefined);
    const of = { ...deliveries, arrivals, ...(deliveries === stream ? { late } : {}) };
    const here = [judge(ledger, of), ...judgeReplays(ledger, { replays, deliveries })];
    if (deliveries === stream) twice = sumOf(here).duplicates;
    verdicts.push(...here);
  }
  if (stream !== undefined) verdicts.push(orderOfLetters(stream.sink, passed));
  const replayed = replays.reduce((total, { eventIds }) => total + eventIds.length, 0);
  const sum = sumOf(verdicts);
  return { ...sum, duplicates: sum.duplicates + forgotten, twice, replayed, redriven };
}

/**
 * Leaves out copies that came when the stream had forgotten the one before: they are there with gaps, where the stream
 * still knew what lies between.
 */
function withoutForgotten(stream: Deliveries | undefined): {
  readonly stream: Deliveries | undefined;
  readonly forgotten: number;
} {
  if (stream === undefined) return { stream, forgotten: 0 };
  const last = new Map<string, number>();
  const arrivals = stream.arrivals.filter(({ eventId, replay = '', at }: Arrival) => {
    const message = `${eventId} ${replay}`;
    const before = last.get(message);
    last.set(message, at);
    return before === undefined || at - before < knownMs;
  });
  return { stream: { ...stream, arrivals }, forgotten: stream.arrivals.length - arrivals.length };
}

function orderOfLetters(
  sink: string,
  passed: ReadonlyArray<{ readonly eventId: string; readonly line: string }>,
): Verdict {
  const differences = passed.map((each): Difference => ({ kind: 'reordered', sink, ...each }));
  return {
    ...{ committed: 0, lost: 0, phantom: 0, corrupted: 0, duplicates: 0 },
    reordered: passed.length,
    differences,
  };
}
