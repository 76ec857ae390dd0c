import { seededRandom } from '@event-runtime/runtime/testing';

/** One moment to kill the relay at. */
export interface PlannedKill {
  /** Once so many different events were received (and some committed ones were not). */
  readonly received: number;
  /** Milliseconds to wait after that. */
  readonly afterMs: number;
  /** The application does not commit more events than this before the kill, unless the kill waits for some. */
  readonly committedAtMost: number;
}

/**
 * Where in a run the relay is killed: at moments spread evenly over its events, each shaken by chance.
 * Every third is followed by a second kill shortly after the restart, so that starting up is hit too.
 *
 * The longer the run, the more kills: 1 for each 50 events up to 8, as many for up to 4,000 events, 1 more for
 * each further 2,000, 24 at most (the second ones come on top).
 */
export function killPlan(options: { readonly events: number; readonly seed: number }): PlannedKill[] {
  const random = seededRandom(options.seed ^ 0x6b_69_6c_6c);
  const { events } = options;
  const kills = Math.min(24, Math.ceil(events / 50), 8 + Math.max(0, Math.floor((events - 4_000) / 2_000)));
  const stride = events / (kills + 1);
  return Array.from({ length: kills }, (_, index) => {
    const received = Math.floor(stride * (index + 0.25 + random.next() / 2));
    const committedAtMost = Math.ceil(received + 2 * stride);
    const kill: PlannedKill = { received, afterMs: random.below(40), committedAtMost };
    return index % 3 === 2 ? [kill, { ...kill, afterMs: 20 + random.below(400) }] : [kill];
  }).flat();
}
