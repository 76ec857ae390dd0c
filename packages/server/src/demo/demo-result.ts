import { percentile } from './latency.ts';
import type { SlotEvidence } from './slot-evidence.ts';
import { isExact, type Verdict } from './verdict.ts';

/** What `event-runtime demo --json` prints, with exactly these keys. */
export interface DemoResult {
  /** Events that were committed. */
  readonly events: number;
  /** Transactions that were committed. */
  readonly committed: number;
  /** Rollbacks: of whole transactions, and to a savepoint. */
  readonly rolledBack: number;
  /** Committed events that were received at least once. */
  readonly delivered: number;
  readonly lost: number;
  readonly phantom: number;
  readonly reordered: number;
  readonly corrupted: number;
  /** Always 0 for a stream, whose messages are not signed. */
  readonly badSignatures: number;
  /** Arrivals beyond the first of each event: no fault of webhooks, one in a stream. */
  readonly duplicates: number;
  /** How often the relay was killed with SIGKILL. */
  readonly kills: number;
  /** Kills at which committed events were not yet received. */
  readonly killsWithBacklog: number;
  /** Transactions that went through the replication slot, by PostgreSQL's own count. */
  readonly slotTransactions: number;
  /** Whether the slot is confirmed up to the last commit. */
  readonly confirmedFlushReached: boolean;
  /** COMMIT sent → event arrived, in milliseconds. */
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  /** From the first transaction to the last check. */
  readonly seconds: number;
}

/** Everything that was measured in one run. */
export interface DemoMeasurements {
  readonly verdict: Verdict;
  readonly committed: number;
  readonly rolledBack: number;
  readonly kills: number;
  readonly killsWithBacklog: number;
  readonly slot: SlotEvidence;
  /** Milliseconds, ascending. */
  readonly latencies: readonly number[];
  readonly seconds: number;
}

/** Puts the printed object together, in the documented order of its keys. */
export function demoResult(measured: DemoMeasurements): DemoResult {
  const { verdict, slot } = measured;
  const milliseconds = (share: number): number => rounded(percentile(measured.latencies, share), 2);
  return {
    events: verdict.expected,
    committed: measured.committed,
    rolledBack: measured.rolledBack,
    delivered: verdict.delivered,
    lost: verdict.lost,
    phantom: verdict.phantom,
    reordered: verdict.reordered,
    corrupted: verdict.corrupted,
    badSignatures: verdict.badSignatures,
    duplicates: verdict.duplicates,
    kills: measured.kills,
    killsWithBacklog: measured.killsWithBacklog,
    slotTransactions: slot.slotTransactions,
    confirmedFlushReached: slot.confirmedFlushReached,
    p50Ms: milliseconds(0.5),
    p95Ms: milliseconds(0.95),
    p99Ms: milliseconds(0.99),
    seconds: rounded(measured.seconds, 2),
  };
}

/**
 * Why a run does not count as passed, one sentence each; empty when it passed. It passes only if what was
 * committed is exactly what was received, the slot carried it, and, where kills were asked for, some
 * hit undelivered events.
 */
export function objections(
  measured: DemoMeasurements,
  asked: { readonly events: number; readonly kill: boolean },
): string[] {
  const { verdict, slot } = measured;
  const found: string[] = [];
  if (!isExact(verdict)) found.push('What was received is not exactly what was committed.');
  if (verdict.expected !== asked.events) {
    found.push(`${asked.events} events were to be committed, ${verdict.expected} were.`);
  }
  if (slot.slotTransactions < measured.committed) {
    found.push(
      `The replication slot carried ${slot.slotTransactions} of ${measured.committed} committed transactions.`,
    );
  }
  if (!slot.confirmedFlushReached) {
    found.push('The replication slot is not confirmed up to the last commit.');
  }
  if (asked.kill && measured.killsWithBacklog === 0) {
    found.push('No kill hit the relay while events were undelivered.');
  }
  return found;
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
