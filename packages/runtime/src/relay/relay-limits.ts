/** How much a relay takes at a time, and how often. */
interface RelayLimits {
  /** A batch of a sink, at most. */
  readonly batch: { readonly events: number; readonly bytes: number };
  /** Bytes of the recent WAL that are kept for sinks. */
  readonly windowBytes: number;
  /** What one sink may have in hand, read and not yet delivered: a part of the window's bytes. */
  readonly inHandPart: number;
  /** Milliseconds between two checkpoints of a sink, and between two ticks. */
  readonly checkpointMs: number;
  /** Milliseconds between two looks at the table. */
  readonly pollMs: number;
  /** Milliseconds that a sink may be behind in the window. */
  readonly behindMs: number;
}

/** What a relay keeps to unless its options say otherwise, and what no option changes. Benchmarks print it. */
export const relayLimits: RelayLimits = {
  batch: { events: 1_000, bytes: 4 * 1_024 * 1_024 },
  windowBytes: 32 * 1_024 * 1_024,
  inHandPart: 1 / 4,
  checkpointMs: 1_000,
  pollMs: 100,
  behindMs: 10_000,
};
