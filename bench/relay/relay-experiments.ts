import { type Experiment, experiment } from '../measure/experiment.ts';
import { ratioFigure, worstFigure } from '../measure/figure.ts';
import { inTurns } from '../measure/in-turns.ts';
import type { Latency } from './latency.ts';
import type { Memory } from './memory.ts';
import type { RelayMeasures } from './relay-measures.ts';
import type { RelaySizes } from './relay-sizes.ts';
import type { Keys } from './site.ts';

export interface RelayExperimentOptions {
  readonly measures: RelayMeasures;
  readonly sizes: RelaySizes;
  /** The interval of the product's polling. */
  readonly pollMs: number;
}

/** The ids of all figures, in their order. */
export const relayFigureIds: readonly string[] = [
  ...['R1-1000', 'R1-1000-hot', 'R1-1', 'R1-1-hot', 'R5a', 'R5a-hot'],
  ...['R6-kept', 'R6-p99', 'isolation-p99', 'R6-kept-hot', 'R6-p99-hot'],
  ...['R4', 'R4-taken', 'R4-emitted', 'R4-growth', 'R4-after', 'R4-backlog'],
  ...['R4-hot', 'R4-taken-hot', 'R4-emitted-hot', 'R4-growth-hot', 'R4-after-hot', 'R4-backlog-hot'],
];

const bothKeys = ['many', 'hot'] as const;

/** Budgets R1, R5a, R6 and R4, with many keys and with one hot key. */
export function relayExperiments(options: RelayExperimentOptions): Experiment[] {
  return [
    ...([1_000, 1] as const).flatMap((perTransaction) =>
      bothKeys.map((keys) => throughputExperiment(options, { perTransaction, keys })),
    ),
    ...bothKeys.map((keys) => catchUpExperiment(options, keys)),
    ...bothKeys.map((keys) => pollingExperiment(options, keys)),
    ...bothKeys.map((keys) => {
      const { measures, sizes } = options;
      const measure: MemoryMeasure = async (memory) => await measures.memory(memory);
      return memoryExperiment({ id: 'R4', where: 'one live', budget: 256, sizes, keys, measure });
    }),
  ];
}

function throughputExperiment(
  { measures, sizes }: RelayExperimentOptions,
  shape: { readonly perTransaction: 1 | 1_000; readonly keys: Keys },
): Experiment {
  const id = `R1-${shape.perTransaction}${suffix(shape.keys)}`;
  const load = { ...shape, events: sizes.throughputEvents };
  const label = `${shape.perTransaction} rows a transaction, ${keysText(shape.keys)}, into null, against pg_recvlogical`;
  return experiment({
    name: id,
    ids: [id],
    runs: sizes.runs,
    expectedSeconds: 5 + load.events / (shape.perTransaction === 1 ? 10_000 : 25_000),
    once: async (run) => await measures.throughput(load, run % 2 === 1),
    figuresOf: (pairs) => [ratioFigure({ id, label, unit: 'rows/s', budget: 0.85, goal: 'at least' }, pairs)],
  });
}

function catchUpExperiment({ measures, sizes }: RelayExperimentOptions, keys: Keys): Experiment {
  const id = `R5a${suffix(keys)}`;
  const load = { events: sizes.throughputEvents, perTransaction: 1_000, keys } as const;
  const label = `catch-up from the table, ${keysText(keys)}, into null, against the same from the WAL`;
  return experiment({
    name: id,
    ids: [id],
    runs: sizes.runs,
    expectedSeconds: 8 + load.events / 15_000,
    once: async (run) =>
      await inTurns(run, [async () => await measures.catchUp(load), async () => await measures.wal(load)]),
    figuresOf: (pairs) => [ratioFigure({ id, label, unit: 'rows/s', budget: 0.5, goal: 'at least' }, pairs)],
  });
}

/** What one run of R6 finds. */
interface Polling {
  readonly table: Latency;
  readonly wal: Latency;
  /** From the WAL, with a second sink that is dead. */
  readonly besideDead: Latency | undefined;
}

/** R6; with many keys also what a dead sink does to a live one, against the same WAL's p99. */
function pollingExperiment({ measures, sizes, pollMs }: RelayExperimentOptions, keys: Keys): Experiment {
  const rate = { perSecond: sizes.pollingPerSecond, seconds: sizes.pollingSeconds, keys };
  const [kept, p99, isolation] = [`R6-kept${suffix(keys)}`, `R6-p99${suffix(keys)}`, 'isolation-p99'];
  const isolates = keys === 'many';
  const what = `polling, ${keysText(keys)}`;
  return experiment<Polling>({
    name: `R6${suffix(keys)}`,
    ids: [kept, p99, ...(isolates ? [isolation] : [])],
    runs: sizes.runs,
    expectedSeconds: (isolates ? 3 : 2) * (rate.seconds + 4),
    async once(run) {
      const [wal, table, besideDead] = await inTurns(run, [
        async () => await measures.latency({ ...rate, source: 'wal' }),
        async () => await measures.latency({ ...rate, source: 'table' }),
        async () =>
          isolates ? await measures.latency({ ...rate, source: 'wal', deadSink: true }) : undefined,
      ]);
      return { wal, table, besideDead };
    },
    figuresOf: (found) => [
      ratioFigure(
        {
          ...{ id: kept, label: `${what}: arrived of the rate that was emitted`, unit: 'events/s' },
          ...{ budget: 0.95, goal: 'at least' },
        },
        found.map(({ table }) => [table.arrived, table.emitted]),
      ),
      ratioFigure(
        { id: p99, label: `${what}: p99 beyond the interval, against the WAL's p99`, unit: 'ms', budget: 2 },
        // Beyond the interval, for which an event waits because nobody looks.
        found.map(({ table, wal }) => [Math.max(0, table.p99 - pollMs), wal.p99]),
      ),
      ...(isolates
        ? [
            ratioFigure(
              {
                ...{ id: isolation, label: 'p99 of a live sink beside a dead one, against without' },
                ...{ unit: 'ms', budget: null },
              },
              found.flatMap(({ besideDead, wal }) =>
                besideDead === undefined ? [] : [[besideDead.p99, wal.p99] as const],
              ),
            ),
          ]
        : []),
    ],
  });
}

type MemoryMeasure = RelayMeasures['memory'];

/** R4, into nothing or into a stream. */
export function memoryExperiment(options: {
  /** With which the figures' ids begin. */
  readonly id: string;
  readonly where: string;
  /** MB. */
  readonly budget: number;
  readonly sizes: RelaySizes;
  readonly keys: Keys;
  readonly measure: MemoryMeasure;
}): Experiment {
  const { sizes, keys, budget } = options;
  const backlog = keys === 'hot' ? sizes.hotBacklogEvents : sizes.backlogEvents;
  const rate = { perSecond: sizes.livePerSecond, seconds: sizes.liveSeconds };
  const id = (what: string): string => `${options.id}${what}${suffix(keys)}`;
  const ids = ['', '-taken', '-emitted', '-growth', '-after', '-backlog'].map(id);
  const label = (what: string): string => `${what}, ${keysText(keys)}`;
  return experiment<Memory>({
    name: id(''),
    ids,
    runs: sizes.memoryRuns,
    expectedSeconds: 8 + backlog / 50_000 + 2 * rate.seconds,
    once: async () => await options.measure({ backlog, ...rate, keys }),
    figuresOf: (found) => [
      worstFigure(
        {
          ...{ id: id(''), label: label(`resident memory at most, one dead sink, ${options.where}`) },
          ...{ unit: 'MB', budget },
        },
        found.map(({ most }) => most),
      ),
      ratioFigure(
        {
          ...{ id: id('-taken'), label: label('what the live sink took of the rate that was asked') },
          ...{ unit: 'events/s', budget: 0.95, goal: 'at least' },
        },
        found.map(({ taken }) => [taken, rate.perSecond]),
      ),
      ratioFigure(
        {
          ...{ id: id('-emitted'), label: label('what the writers made of the rate that was asked') },
          ...{ unit: 'events/s', budget: null, goal: 'at least' },
        },
        found.map(({ emitted }) => [emitted, rate.perSecond]),
      ),
      ratioFigure(
        {
          ...{
            id: id('-growth'),
            label: label('mean memory in the last quarter of the backlog by its second one'),
          },
          ...{ unit: 'MB', budget: 1.1 },
        },
        found.map(({ backlogLate, backlogEarly }) => [backlogLate, backlogEarly]),
      ),
      ratioFigure(
        {
          ...{
            id: id('-after'),
            label: label('mean memory at the same rate, after the backlog by before it'),
          },
          ...{ unit: 'MB', budget: null },
        },
        found.map(({ steadyWith, steadyBefore }) => [steadyWith, steadyBefore]),
      ),
      ratioFigure(
        {
          ...{
            id: id('-backlog'),
            label: label('events that the dead sink has not, of all that were written'),
          },
          ...{ unit: 'events', budget: 1, goal: 'at least' },
        },
        found.map((run) => [run.backlog, backlog + 2 * rate.perSecond * rate.seconds]),
      ),
    ],
  });
}

/** Of the ids of figures. */
export function suffix(keys: Keys): string {
  return keys === 'hot' ? '-hot' : '';
}

export function keysText(keys: Keys): string {
  return keys === 'hot' ? 'one hot key' : 'many keys';
}
