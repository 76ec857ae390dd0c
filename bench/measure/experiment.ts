import { Disturbed } from './disturbed.ts';
import type { Figure } from './figure.ts';

/** How often a run is made again that was disturbed. */
const repetitions = 2;

/** A measurement that is repeated, and the figures that come of all its runs. */
export interface Experiment {
  readonly name: string;
  /** The ids of its figures, in their order. */
  readonly ids: readonly string[];
  readonly runs: number;
  /** What one run takes, roughly; for the estimate at the beginning only. */
  readonly expectedSeconds: number;
  /** Measures once. @param run from 0 */
  measure(run: number): Promise<void>;
  /** The figures of the runs so far. */
  figures(): Figure[];
}

/** How an experiment is made of what one run finds. */
export interface ExperimentOptions<Found>
  extends Pick<Experiment, 'name' | 'ids' | 'runs' | 'expectedSeconds'> {
  readonly once: (run: number) => Promise<Found>;
  /** Of what every run has found, in their order. */
  readonly figuresOf: (found: readonly Found[]) => Figure[];
}

/** An experiment that keeps what its runs find. */
export function experiment<Found>(options: ExperimentOptions<Found>): Experiment {
  const { name, ids, runs, expectedSeconds, once, figuresOf } = options;
  const found: Found[] = [];
  return {
    name,
    ids,
    runs,
    expectedSeconds,
    async measure(run) {
      found.push(await once(run));
    },
    figures: () => figuresOf(found),
  };
}

/**
 * The experiments that have a figure whose id begins with one of the wishes; without wishes all of them.
 *
 * @param only beginnings of ids
 */
export function chosenOf(experiments: readonly Experiment[], only?: readonly string[]): Experiment[] {
  return experiments.filter(
    ({ ids }) => only === undefined || ids.some((id) => only.some((wish) => id.startsWith(wish))),
  );
}

/** What experiments came to. */
export interface Outcome {
  readonly figures: readonly Figure[];
  /** A sentence for each experiment that broke off: it has no figures. */
  readonly failures: readonly string[];
  /** How many runs were disturbed, and made again. */
  readonly repeatedRuns: number;
}

export interface RunOptions {
  /** Told before each run: `R6: run 2 of 5`. */
  readonly starting: (experiment: Experiment, run: number) => void;
  /** Told after each. */
  readonly done: (experiment: Experiment) => void;
  /** Told when a run is made again. */
  readonly repeating: (experiment: Experiment, why: string) => void;
  /** Told when one breaks off. */
  readonly brokeOff: (experiment: Experiment, why: string) => void;
}

/** Runs one experiment after another. One that breaks off does not take the figures of the others with it. */
export async function runExperiments(
  experiments: readonly Experiment[],
  options: RunOptions,
): Promise<Outcome> {
  let repeatedRuns = 0;
  const figures: Figure[] = [];
  const failures: string[] = [];
  for (const each of experiments) {
    try {
      for (let run = 0; run < each.runs; run += 1) {
        options.starting(each, run);
        repeatedRuns += await measured(each, run, options);
        options.done(each);
      }
      figures.push(...soundFiguresOf(each));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      failures.push(`${each.name}: ${why}`);
      options.brokeOff(each, why);
    }
  }
  return { figures, failures, repeatedRuns };
}

/** @returns how often the run was made again */
async function measured(each: Experiment, run: number, { repeating }: RunOptions): Promise<number> {
  for (let again = 0; ; again += 1) {
    try {
      await each.measure(run);
      return again;
    } catch (error) {
      if (!(error instanceof Disturbed) || again === repetitions) throw error;
      repeating(each, error.message);
    }
  }
}

/** @throws where a figure is missing, was not measured in every run, or is not a number */
function soundFiguresOf(each: Experiment): Figure[] {
  const figures = each.figures();
  const ids = figures.map(({ id }) => id);
  if (ids.join(' ') !== each.ids.join(' ')) {
    throw new Error(`it has the figures ${ids.join(', ')}, and should have ${each.ids.join(', ')}`);
  }
  for (const { id, runs, value, reference, ratio, spread } of figures) {
    if (runs !== each.runs) throw new Error(`${id} has ${runs} runs of ${each.runs}`);
    const numbers = [value, ...spread, ...(reference === null ? [] : [reference, ratio ?? Number.NaN])];
    if (!numbers.every(Number.isFinite)) throw new Error(`${id} is no number: ${numbers.join(', ')}`);
  }
  return figures;
}
