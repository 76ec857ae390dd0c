import type { Target } from '../kill/kill-plan.ts';
import type { FailpointCount } from '../kill/kill-record.ts';
import { type Difference, hasFault, type Verdict } from '../verdict/verdict.ts';
import type { WriterCounts } from '../workload/writers.ts';

/** What a run came to; `--json` prints it as one object. */
export interface CrashResult {
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
export type CrashCounts = Omit<CrashResult, keyof Verdict>;

export function crashResult(verdict: Verdict, counts: CrashCounts): CrashResult {
  const { lost, phantom, reordered, corrupted, duplicates, differences } = verdict;
  return { ...counts, lost, phantom, reordered, corrupted, duplicates, differences };
}

/** Whether something was lost, invented, reordered or altered: what convicts a mutant. */
export function isFaulty(result: CrashResult): boolean {
  return hasFault({ ...result, committed: result.events });
}

/** Exit code of the command. */
export function exitCode(result: CrashResult): 0 | 1 {
  return isFaulty(result) || result.stalled || result.short.length > 0 ? 1 : 0;
}
