/** How much is measured; printed with the settings. */
export interface RelaySizes {
  /** Of every figure but R4. */
  readonly runs: number;
  /** Of R4, whose runs are long. */
  readonly memoryRuns: number;
  /** R1, R2, R5a, R5b and R7. */
  readonly throughputEvents: number;
  /** R3, at each of its rates. */
  readonly latencySeconds: number;
  /** R6. */
  readonly pollingPerSecond: number;
  readonly pollingSeconds: number;
  /** R4, with many keys and with one. */
  readonly backlogEvents: number;
  readonly hotBacklogEvents: number;
  readonly livePerSecond: number;
  /** Of each of its two steady phases. */
  readonly liveSeconds: number;
}

/** The sizes. @param asked of the command line; by default 5 runs, of R4 three, and 5,000,000 events */
export function relaySizes(asked: { readonly runs?: number; readonly events?: number }): RelaySizes {
  const { runs, events = 5_000_000 } = asked;
  const small = events < 100_000;
  return {
    runs: runs ?? 5,
    memoryRuns: runs ?? 3,
    throughputEvents: Math.min(events, 500_000),
    latencySeconds: small ? 1 : 10,
    pollingPerSecond: Math.min(events, 5_000),
    pollingSeconds: small ? 2 : 15,
    backlogEvents: events,
    hotBacklogEvents: Math.min(events, 1_000_000),
    livePerSecond: Math.min(events, 20_000),
    liveSeconds: small ? 2 : 30,
  };
}
