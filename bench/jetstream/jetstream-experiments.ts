import { type Experiment, experiment } from '../measure/experiment.ts';
import { type FigureName, plainFigure, ratioFigure } from '../measure/figure.ts';
import { inTurns } from '../measure/in-turns.ts';
import { keysText, memoryExperiment, suffix } from '../relay/relay-experiments.ts';
import type { RelaySizes } from '../relay/relay-sizes.ts';
import type { Keys } from '../relay/site.ts';
import type { Pace } from '../relay/throughput.ts';
import type { JetStreamLatency } from './jetstream-latency.ts';
import type { JetStreamMeasures } from './jetstream-measures.ts';
import type { JetStreamPaces } from './jetstream-throughput.ts';

export interface JetStreamExperimentOptions {
  readonly measures: JetStreamMeasures;
  readonly sizes: RelaySizes;
}

const bothKeys = ['many', 'hot'] as const;
/** Of R3, events a second. */
const rates = [1_000, 5_000, 12_000] as const;

/** The ids of all figures, in their order. */
export const jetStreamFigureIds: readonly string[] = [
  ...['R2', 'R2-wal', 'R7', 'R7-bare', 'R2-hot', 'R2-wal-hot', 'R7-hot', 'R7-bare-hot', 'R5b', 'R5b-hot'],
  ...['R3-1000-p50', 'R3-1000-p99', 'R3-1000-back', 'R3-1000-written'],
  ...['R3-5000-p50', 'R3-5000-p99', 'R3-5000-back', 'R3-5000-written'],
  ...['R3-12000-p50', 'R3-12000-p99', 'R3-12000-bound', 'R3-12000-back', 'R3-12000-written'],
  ...['R4-nats', 'R4-nats-taken', 'R4-nats-emitted', 'R4-nats-growth', 'R4-nats-after', 'R4-nats-backlog'],
  ...['R4-nats-hot', 'R4-nats-taken-hot', 'R4-nats-emitted-hot'],
  ...['R4-nats-growth-hot', 'R4-nats-after-hot', 'R4-nats-backlog-hot'],
];

/** Budgets R2, R7, R5b, R3, and R4's second half. */
export function jetStreamExperiments(options: JetStreamExperimentOptions): Experiment[] {
  const { measures, sizes } = options;
  return [
    ...bothKeys.map((keys) => throughputExperiment(options, keys)),
    ...bothKeys.map((keys) => catchUpExperiment(options, keys)),
    ...rates.map((perSecond) => latencyExperiment(options, perSecond)),
    ...bothKeys.map((keys) =>
      memoryExperiment({
        ...{ id: 'R4-nats', where: 'the live one into JetStream', budget: 384 },
        ...{ sizes, keys, measure: async (memory) => await measures.memory(memory) },
      }),
    ),
  ];
}

/** R2 and R7, of the same runs. */
function throughputExperiment({ measures, sizes }: JetStreamExperimentOptions, keys: Keys): Experiment {
  const load = { events: sizes.throughputEvents, perTransaction: 1_000, keys } as const;
  const id = (name: string): string => `${name}${suffix(keys)}`;
  const into = `into JetStream, ${keysText(keys)}`;
  const rate = { unit: 'events/s', goal: 'at least' } as const;
  const cpu = { unit: 'CPU s', goal: 'at most' } as const;
  const many = keys === 'many';
  return experiment<JetStreamPaces>({
    name: id('R2'),
    ids: ['R2', 'R2-wal', 'R7', 'R7-bare'].map(id),
    runs: sizes.runs,
    expectedSeconds: 20 + load.events / 7_000,
    once: async (run) => await measures.paces(load, run),
    figuresOf: (found) => [
      ratioFigure(
        { ...rate, id: id('R2'), label: `${into}, against the bare publisher`, budget: many ? 0.8 : null },
        found.map(({ product, bare }) => [product.perSecond, bare.perSecond]),
      ),
      ratioFigure(
        { ...rate, id: id('R2-wal'), label: `${into}, against pg_recvlogical`, budget: many ? 0.5 : null },
        found.map(({ product, recvlogical }) => [product.perSecond, recvlogical]),
      ),
      plainFigure(
        { ...cpu, id: id('R7'), label: `${into}: CPU of the relay for 1,000 events`, budget: 0.025 },
        found.map(({ product }) => product.cpuSecondsPerThousand),
      ),
      plainFigure(
        { ...cpu, id: id('R7-bare'), label: `${into}: the same of the bare publisher`, budget: null },
        found.map(({ bare }) => bare.cpuSecondsPerThousand),
      ),
    ],
  });
}

function catchUpExperiment({ measures, sizes }: JetStreamExperimentOptions, keys: Keys): Experiment {
  const id = `R5b${suffix(keys)}`;
  const load = { events: sizes.throughputEvents, perTransaction: 1_000, keys } as const;
  const label = `catch-up from the table into JetStream, ${keysText(keys)}, against the same from the WAL`;
  return experiment<readonly [Pace, Pace]>({
    name: id,
    ids: [id],
    runs: sizes.runs,
    expectedSeconds: 20 + load.events / 8_000,
    once: async (run) =>
      await inTurns(run, [
        async () => await measures.into(load, 'table'),
        async () => await measures.into(load, 'wal'),
      ]),
    figuresOf: (found) => [
      ratioFigure(
        { id, label, unit: 'events/s', budget: 1, goal: 'at least' },
        found.map(([table, wal]) => [table.perSecond, wal.perSecond]),
      ),
    ],
  });
}

/** R3 at one rate. */
function latencyExperiment({ measures, sizes }: JetStreamExperimentOptions, perSecond: number): Experiment {
  const rate = { perSecond, seconds: sizes.latencySeconds };
  // The one that has a bound of its own in the budgets.
  const bounded = perSecond === Math.max(...rates);
  const id = (what: string): string => `R3-${perSecond}-${what}`;
  const label = (what: string): string => `${perSecond} single-row transactions a second: ${what}`;
  const name = (what: string, text: string, budget: number | null): FigureName => ({
    ...{ id: id(what), label: label(text), unit: 'ms', budget },
  });
  type Pair = readonly [product: JetStreamLatency, bare: JetStreamLatency];
  return experiment<Pair>({
    name: `R3-${perSecond}`,
    ids: ['p50', 'p99', ...(bounded ? ['bound'] : []), 'back', 'written'].map(id),
    runs: sizes.runs,
    expectedSeconds: 2 * (rate.seconds + 8),
    once: async (run) =>
      await inTurns(run, [
        async () => await measures.latency({ ...rate, side: 'product' }),
        async () => await measures.latency({ ...rate, side: 'bare' }),
      ]),
    figuresOf: (found) => [
      ratioFigure(
        name('p50', 'median from the commit to the stream, against the bare publisher', 1.5),
        found.map(([product, bare]) => [product.p50, bare.p50]),
      ),
      ratioFigure(
        name('p99', 'p99 from the commit to the stream, against the bare publisher', 2),
        found.map(([product, bare]) => [product.p99, bare.p99]),
      ),
      ...(bounded
        ? [
            plainFigure(
              name('bound', 'p99 from the commit to the stream', 25),
              found.map(([product]) => product.p99),
            ),
          ]
        : []),
      plainFigure(
        name('back', 'p99 from the stream back to the bare publisher, as an acknowledgement', null),
        found.map(([, bare]) => bare.acknowledgement?.p99 ?? Number.NaN),
      ),
      ratioFigure(
        {
          ...{ id: id('written'), label: label('what the writers came to, beside the product') },
          ...{ unit: 'events/s', budget: null, goal: 'at least' },
        },
        found.map(([product]) => [product.written, perSecond]),
      ),
    ],
  });
}
