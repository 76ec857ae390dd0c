import type { Experiment, RunOptions } from '../measure/experiment.ts';

export interface ScheduleOptions {
  readonly progress: (line: string) => void;
  /** Milliseconds, by any clock that goes on. Default: `performance.now`. */
  readonly now?: () => number;
}

/**
 * Says what is running, and about how long the rest takes. What runs took so far counts for those to come: of one
 * experiment by themselves, of the others as a share of what was expected.
 */
export function scheduleOf(
  experiments: readonly Experiment[],
  { progress, now = () => performance.now() }: ScheduleOptions,
): RunOptions {
  const began = now();
  const taken = new Map<Experiment, number[]>(experiments.map((each) => [each, []]));
  const runs = sum(experiments.map((each) => each.runs));
  let startedAt = began;
  let did = 0;
  const left = (): number => {
    const expected = sum([...taken].map(([each, times]) => each.expectedSeconds * times.length));
    const pace = expected === 0 ? 1 : sum([...taken.values()].flat()) / expected;
    return sum(
      [...taken].map(([each, times]) => {
        const perRun = times.length === 0 ? each.expectedSeconds * pace : sum(times) / times.length;
        return perRun * Math.max(0, each.runs - times.length);
      }),
    );
  };
  progress(
    `${counted(experiments.length, 'experiment')}, ${counted(runs, 'run')}, about ${span(left())}: ${experiments.map((each) => `${each.name} (${each.runs})`).join(', ')}`,
  );
  return {
    starting(each, run) {
      startedAt = now();
      const so = did === 0 ? '' : `, ${span((startedAt - began) / 1_000)} so far`;
      progress(
        `${each.name}: run ${run + 1} of ${each.runs}; ${did} of ${runs} done${so}, about ${span(left())} to go`,
      );
    },
    done(each) {
      did += 1;
      taken.get(each)?.push((now() - startedAt) / 1_000);
    },
    repeating(each, why) {
      progress(`${each.name}: once more: ${why}`);
    },
    brokeOff(each, why) {
      taken.delete(each);
      progress(`${each.name}: broke off: ${why}`);
    },
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

/** `50 s` or `12 min`. */
function span(seconds: number): string {
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
