import type { Target } from '../kill/kill-plan.ts';
import type { FailpointCount } from '../kill/kill-record.ts';
import type { Difference, Verdict } from '../verdict/verdict.ts';
import type { WriterCounts } from '../workload/writers.ts';

/**
 * What a run says of the program.
 *
 * `clean`: nothing lost, invented, reordered or altered, and every failpoint hit. `faulty`: something was.
 * Of a mutant: `convicted` and `not-convicted`. No verdict: `stalled`, nothing came any more while kills were still
 * planned; `short`, no fault, but a failpoint was hit too seldom.
 */
export type Outcome = 'clean' | 'faulty' | 'convicted' | 'not-convicted' | 'stalled' | 'short';

/** What a run came to; `--json` prints it as one object. */
export interface CrashResult {
  readonly outcome: Outcome;
  readonly seed: number;
  readonly postgres: string;
  readonly sources: string;
  readonly mutant: string | null;
  /** Committed events, by the writers' own table; each was to come at each sink. */
  readonly events: number;
  readonly kills: number;
  readonly killsInFlight: number;
  /** Kills that followed upon a replica which was stopped past its lease, and continued. */
  readonly freezes: number;
  readonly lost: number;
  readonly phantom: number;
  readonly reordered: number;
  readonly corrupted: number;
  readonly duplicates: number;
  /** Servers of the sink into NATS; 0: there was none. */
  readonly nats: number;
  /**
   * Messages that its stream took again within its duplicate window, one of a replay apart from the event's own: there may
   * be none.
   */
  readonly twice: number;
  /** Events that replays were to bring once more, once for each replay. */
  readonly replayed: number;
  /** Whether later events of an entity waited behind its dead letters in the stream. */
  readonly afterDeadLetter: 'continue' | 'wait';
  /** See {@link WholeVerdict.redriven}. */
  readonly redriven: number;
  readonly killsOf: Readonly<Record<Target, number>>;
  readonly failpoints: readonly FailpointCount[];
  /** Kills with work in flight that each failpoint was to have. */
  readonly hits: number;
  /** Failpoints that have fewer. */
  readonly short: readonly string[];
  readonly transactions: WriterCounts;
  /** Whether nothing came any more while kills were still planned. */
  readonly stalled: boolean;
  /** How often relay and receiver ended by themselves. */
  readonly unaskedExits: number;
  readonly seconds: number;
  /** The first ten. */
  readonly differences: readonly Difference[];
}

/** What is measured apart from the verdict. */
export type CrashCounts = Omit<CrashResult, keyof Verdict | 'outcome'>;

export function crashResult(verdict: Verdict, counts: CrashCounts): CrashResult {
  const { lost, phantom, reordered, corrupted, duplicates, differences } = verdict;
  const result = { ...counts, lost, phantom, reordered, corrupted, duplicates, differences };
  return { outcome: outcomeOf(result), ...result };
}

function outcomeOf(result: Omit<CrashResult, 'outcome'>): Outcome {
  const { lost, phantom, reordered, corrupted, twice, stalled, short, mutant } = result;
  // Where everything stands still, what is missing may be late only: a run that hangs convicts nobody.
  const faults = phantom + reordered + corrupted + twice + (stalled ? 0 : lost);
  if (faults > 0) return mutant === null ? 'faulty' : 'convicted';
  if (stalled) return 'stalled';
  if (short.length > 0) return 'short';
  return mutant === null ? 'clean' : 'not-convicted';
}

/** Exit code of the command, for what was to be shown: 0 it was, 1 the opposite was, 3 neither. */
export const exitCodes: Readonly<Record<Outcome, 0 | 1 | 3>> = {
  clean: 0,
  convicted: 0,
  faulty: 1,
  'not-convicted': 1,
  stalled: 3,
  short: 3,
};
