import type { Target } from './kill-plan.ts';

/** A kill that was carried out. */
export interface KillRecord {
  /** Milliseconds since 1970, with a fraction: just before the signal was sent. */
  readonly at: number;
  /** What was killed; several processes at once are one kill. */
  readonly targets: readonly Target[];
  /** Where the process killed itself; undefined for a kill at a random moment. */
  readonly failpoint: string | undefined;
  /** Whether it was a replica that had taken over from one that was stopped past its lease, and runs again. */
  readonly frozen?: boolean;
  /** When the stopped one was continued; until {@link at} both ran. */
  readonly thawedAt?: number;
}

export interface KillCounts {
  readonly kills: number;
  /** At how many of these events had been committed that had not come. */
  readonly killsInFlight: number;
  /** How many followed upon a replica that was stopped past its lease, and continued. */
  readonly freezes: number;
  readonly byTarget: Readonly<Record<Target, number>>;
}

/** What happened at one failpoint. */
export interface FailpointCount {
  readonly failpoint: string;
  /** How often the process was killed there. */
  readonly kills: number;
  /** How many of these kills hit events that were committed and had not come. */
  readonly inFlight: number;
}

type InFlightAt = (at: number) => number;

export function countKills(records: readonly KillRecord[], inFlightAt: InFlightAt): KillCounts {
  const hitting = (target: Target): number =>
    records.filter(({ targets }) => targets.includes(target)).length;
  return {
    kills: records.length,
    killsInFlight: records.filter(({ at }) => inFlightAt(at) > 0).length,
    freezes: records.filter(({ frozen }) => frozen === true).length,
    byTarget: {
      relay: hitting('relay'),
      postgres: hitting('postgres'),
      receiver: hitting('receiver'),
      nats: hitting('nats'),
    },
  };
}

/**
 * Failpoint × kills × in flight.
 *
 * @param failpoints all that were found, reached or not
 */
export function failpointTable(
  records: readonly KillRecord[],
  options: { readonly failpoints: readonly string[]; readonly inFlightAt: InFlightAt },
): FailpointCount[] {
  return options.failpoints.map((failpoint) => {
    const there = records.filter((record) => record.failpoint === failpoint);
    const inFlight = there.filter(({ at }) => options.inFlightAt(at) > 0).length;
    return { failpoint, kills: there.length, inFlight };
  });
}

/** Failpoints with fewer kills with work in flight than asked for. */
export function shortOf(hits: number, table: readonly FailpointCount[]): string[] {
  return table.filter(({ inFlight }) => inFlight < hits).map(({ failpoint }) => failpoint);
}
