import { type Experiment, experiment } from '../measure/experiment.ts';
import {
  type Figure,
  type FigureName,
  median,
  plainFigure,
  ratioFigure,
  worstFigure,
} from '../measure/figure.ts';
import { inTurns } from '../measure/in-turns.ts';
import type { StoppedSink } from './stopped-sink.ts';

export interface StoppedSinkExperimentOptions {
  /** What its ids begin with. Default `stopped`. */
  readonly prefix?: string;
  readonly runs: number;
  readonly events: number;
  readonly perSecond: number;
  /** One run of one length. @param stopped false: both sinks work, for the reference */
  readonly measure: (stopped: boolean) => Promise<StoppedSink>;
}

/** The same load with one of two sinks stopped for all of it, and with both at work. */
export function stoppedSinkExperiment(options: StoppedSinkExperimentOptions): Experiment {
  const { prefix = 'stopped', runs, events, perSecond, measure } = options;
  const all = [
    'p99',
    'p99-growth',
    'unconfirmed',
    'kept',
    'memory',
    'caught-up',
    'lost',
    'reordered',
    'twice',
  ];
  return experiment<Pair>({
    name: prefix,
    ids: all.map((id) => `${prefix}-${id}`),
    runs,
    expectedSeconds: (2 * events) / perSecond + events / 50_000 + 10,
    once: async (run) =>
      await inTurns(run, [async () => await measure(true), async () => await measure(false)]),
    figuresOf: (pairs) => figuresOf(pairs, prefix),
  });
}

type Pair = readonly [stopped: StoppedSink, reference: StoppedSink];

function figuresOf(pairs: readonly Pair[], prefix: string): Figure[] {
  const stopped = (of: (run: StoppedSink) => number): number[] => pairs.map(([each]) => of(each));
  const ratio = (name: FigureName, of: (run: StoppedSink) => number): Figure =>
    ratioFigure(
      name,
      pairs.map(([each, reference]) => [of(each), of(reference)]),
    );
  const name = (id: string, label: string, rest: Pick<FigureName, 'unit' | 'budget'>): FigureName => ({
    id: `${prefix}-${id}`,
    label,
    ...rest,
  });
  return [
    ratio(
      // The same thing measured twice differs by as much.
      name('p99', 'p99 of the live sink (median of four parts), one stopped, against both working', {
        unit: 'ms',
        budget: 1.5,
      }),
      ({ p99OfParts }) => median(p99OfParts),
    ),
    ratio(
      name('p99-growth', 'p99 of the last part by that of the first, against both working', {
        unit: '',
        budget: null,
      }),
      ({ p99OfParts }) => (p99OfParts.at(-1) ?? Number.NaN) / (p99OfParts[0] ?? Number.NaN),
    ),
    ratio(
      name('unconfirmed', 'WAL not confirmed, at most, against both working', { unit: 'MB', budget: null }),
      (run) => run.mostUnconfirmed,
    ),
    ratio(
      name('kept', 'WAL kept for the slot, at most, against both working', { unit: 'MB', budget: null }),
      (run) => run.mostKept,
    ),
    worstFigure(
      name('memory', 'resident memory, at most', { unit: 'MB', budget: 256 }),
      stopped((run) => run.mostMemory),
    ),
    plainFigure(
      name('caught-up', 'until the stopped sink had everything', { unit: 's', budget: null }),
      stopped((run) => run.caughtUpIn),
    ),
    worstFigure(
      name('lost', 'events that it did not get', { unit: 'events', budget: 0 }),
      stopped((run) => run.lost),
    ),
    worstFigure(
      name('reordered', 'events that came after a later one of their entity', { unit: 'events', budget: 0 }),
      stopped((run) => run.reordered),
    ),
    worstFigure(
      // At least once is what is promised; a stream that deduplicates has each once.
      name('twice', 'what it has beyond one for each event', {
        unit: 'events',
        budget: prefix === 'stopped' ? null : 0,
      }),
      stopped((run) => run.duplicates),
    ),
  ];
}
