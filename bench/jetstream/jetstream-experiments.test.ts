import { describe, expect, test } from 'vitest';
import { chosenOf, runExperiments } from '../measure/experiment.ts';
import type { Figure } from '../measure/figure.ts';
import type { Memory } from '../relay/memory.ts';
import { relaySizes } from '../relay/relay-sizes.ts';
import type { Load, Pace } from '../relay/throughput.ts';
import { jetStreamExperiments, jetStreamFigureIds } from './jetstream-experiments.ts';
import type { JetStreamLatency } from './jetstream-latency.ts';
import type { JetStreamMeasures } from './jetstream-measures.ts';
import type { JetStreamPaces } from './jetstream-throughput.ts';

/** By run; each pair must stay together for the ratios to be these. */
const paces: readonly JetStreamPaces[] = [
  { product: pace(40, 0.02), bare: pace(50, 0.01), recvlogical: 100 },
  { product: pace(60, 0.03), bare: pace(100, 0.02), recvlogical: 100 },
  { product: pace(45, 0.026), bare: pace(50, 0.01), recvlogical: 50 },
];
const catchUp = { table: [50, 99, 60], wal: [50, 100, 50] };
const delays = { product: [10, 30, 12], bare: [5, 10, 8] };
const peak = [300, 385, 200];

/** Answers without a product; keeps what it was asked, in order. */
class Pretended implements JetStreamMeasures {
  readonly asked: string[] = [];
  readonly #times = new Map<string, number>();

  async paces({ events, perTransaction, keys }: Load, run: number): Promise<JetStreamPaces> {
    return this.#next(paces, `paces ${perTransaction} ${keys} ${events}`, ` run ${run}`);
  }

  async into({ events, perTransaction, keys }: Load, source: 'wal' | 'table'): Promise<Pace> {
    return pace(this.#next(catchUp[source], `${source} ${perTransaction} ${keys} ${events}`), 0);
  }

  async latency(options: Parameters<JetStreamMeasures['latency']>[0]): Promise<JetStreamLatency> {
    const { side, perSecond, seconds } = options;
    const p99 = this.#next(delays[side], `${side} ${perSecond}/s ${seconds} s`);
    const acknowledgement = side === 'bare' ? { p50: 1, p99: 2 } : undefined;
    return { p50: p99 / 2, p99, written: perSecond / 2, acknowledgement };
  }

  async memory(options: Parameters<JetStreamMeasures['memory']>[0]): Promise<Memory> {
    const { backlog, keys, perSecond, seconds } = options;
    const most = this.#next(peak, `memory ${keys} ${backlog}`);
    const means = { backlogEarly: 100, backlogLate: 100, steadyBefore: 100, steadyWith: 100 };
    return {
      ...means,
      ...{ most, emitted: perSecond, taken: perSecond, backlog: backlog + 2 * perSecond * seconds },
    };
  }

  #next<T>(values: readonly T[], what: string, also = ''): T {
    this.asked.push(what + also);
    const time = this.#times.get(what) ?? 0;
    this.#times.set(what, time + 1);
    const value = values[time];
    if (value === undefined) throw new Error(`${what} was measured more often than it has runs`);
    return value;
  }
}

function pace(perSecond: number, cpuSecondsPerThousand: number): Pace {
  return { perSecond, cpuSecondsPerThousand };
}

async function figuresFor(...only: string[]): Promise<{ figures: readonly Figure[]; asked: string[] }> {
  const measures = new Pretended();
  const all = jetStreamExperiments({ measures, sizes: { ...relaySizes({}), runs: 3, memoryRuns: 3 } });
  const nothing = (): undefined => undefined;
  const { figures, failures } = await runExperiments(chosenOf(all, only.length === 0 ? undefined : only), {
    ...{ starting: nothing, done: nothing, repeating: nothing, brokeOff: nothing },
  });
  expect(failures).toEqual([]);
  return { figures, asked: measures.asked };
}

type Short = readonly [
  id: string,
  value: number,
  reference: number | null,
  ratio: number | null,
  met: boolean | null,
];

const short = ({ id, value, reference, ratio, met }: Figure): Short => [id, value, reference, ratio, met];

describe('the experiments into JetStream', () => {
  test('every figure stands beside its reference of the same run, and is judged by its budget', async () => {
    const { figures } = await figuresFor('R2', 'R5b', 'R3-5000', 'R3-12000');
    const delaysAt = (rate: number): Short[] => [
      // Of the runs' ratios the median: 2, 3 and 1.5.
      [`R3-${rate}-p50`, 6, 4, 2, false],
      [`R3-${rate}-p99`, 12, 8, 2, true],
      ...(rate === 12_000 ? [[`R3-${rate}-bound`, 12, null, null, true] as const] : []),
      [`R3-${rate}-back`, 2, null, null, null],
      [`R3-${rate}-written`, rate / 2, rate, 0.5, null],
    ];
    const throughput = (suffix: string, judged: boolean): Short[] => [
      [`R2${suffix}`, 45, 50, 0.8, judged || null],
      [`R2-wal${suffix}`, 45, 100, 0.6, judged || null],
      [`R7${suffix}`, 0.026, null, null, false],
      [`R7-bare${suffix}`, 0.01, null, null, null],
    ];
    expect(figures.map(short)).toEqual([
      ...throughput('', true),
      ...throughput('-hot', false),
      ...['R5b', 'R5b-hot'].map((id): Short => [id, 60, 50, 1, true]),
      ...delaysAt(5_000),
      ...delaysAt(12_000),
    ]);
  });

  test('the memory is that of the worst run, within 384 MB', async () => {
    const { figures, asked } = await figuresFor('R4-nats');
    expect(figures.find(({ id }) => id === 'R4-nats')).toMatchObject({ value: 385, budget: 384, met: false });
    expect(asked).toEqual([
      ...Array.from({ length: 3 }, () => 'memory many 5000000'),
      ...Array.from({ length: 3 }, () => 'memory hot 1000000'),
    ]);
  });

  test('the ids are those of the figures', async () => {
    const { figures } = await figuresFor();
    expect(figures.map(({ id }) => id)).toEqual(jetStreamFigureIds);
    for (const { id, runs } of figures) expect(runs, id).toBe(3);
  });

  test('both sides of a pair take turns, and the other one begins in every second run', async () => {
    const { asked } = await figuresFor('R2', 'R5b-hot', 'R3-1000-p50');
    const pairs = (one: string, other: string): string[] => [one, other, other, one, one, other];
    expect(asked).toEqual([
      ...['many', 'hot'].flatMap((keys) => [0, 1, 2].map((run) => `paces 1000 ${keys} 500000 run ${run}`)),
      ...pairs('table 1000 hot 500000', 'wal 1000 hot 500000'),
      ...pairs('product 1000/s 10 s', 'bare 1000/s 10 s'),
    ]);
  });
});
