import { median } from './figure.ts';

/** How long one transaction took, in milliseconds. */
export interface Timing {
  /** From before BEGIN to after COMMIT. */
  readonly transaction: number;
  /** The call under test within it. */
  readonly call: number;
}

/** One of several ways to do the same work. */
export interface Side {
  readonly name: string;
  /** Does the work once on a lane's own connection. */
  once(lane: number): Promise<Timing>;
}

/** What one side took in one run, in microseconds. */
export interface SideResult {
  /** Median of the transactions. */
  readonly transaction: number;
  /** Median of the calls. */
  readonly call: number;
  /** Wall-clock time of the slices by the number of transactions: the mean, with every pause in it. */
  readonly wall: number;
}

export interface InterleaveOptions {
  /** How many slices each side gets. */
  readonly slices: number;
  /** Transactions of one slice. */
  readonly perSlice: number;
  /** Connections that work at the same time. */
  readonly lanes: number;
}

/**
 * Runs the sides in turns, slice by slice, so that a slow minute of the machine is every side's. The order
 * is turned round each time: no side is always the one after another.
 *
 * @returns by side name
 */
export async function interleave(
  sides: readonly Side[],
  options: InterleaveOptions,
): Promise<ReadonlyMap<string, SideResult>> {
  const taken = new Map(sides.map(({ name }) => [name, { timings: [] as Timing[], wall: 0 }]));
  for (let slice = 0; slice < options.slices; slice += 1) {
    for (const side of slice % 2 === 0 ? sides : sides.toReversed()) {
      const sofar = taken.get(side.name);
      if (sofar === undefined) throw new TypeError(`no side ${side.name}`);
      const started = performance.now();
      sofar.timings.push(...(await runSlice(side, options)));
      sofar.wall += performance.now() - started;
    }
  }
  return new Map([...taken].map(([name, { timings, wall }]) => [name, summary(timings, wall)]));
}

async function runSlice(side: Side, { perSlice, lanes }: InterleaveOptions): Promise<Timing[]> {
  const timings: Timing[] = [];
  let left = perSlice;
  await Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      while (left > 0) {
        left -= 1;
        timings.push(await side.once(lane));
      }
    }),
  );
  return timings;
}

function summary(timings: readonly Timing[], wall: number): SideResult {
  return {
    transaction: 1_000 * median(timings.map((timing) => timing.transaction)),
    call: 1_000 * median(timings.map((timing) => timing.call)),
    wall: (1_000 * wall) / timings.length,
  };
}
