import { describe, expect, test } from 'vitest';
import { chosenOf, runExperiments } from '../measure/experiment.ts';
import type { Figure } from '../measure/figure.ts';
import type { Latency, LatencyOptions } from './latency.ts';
import { relayExperiments, relayFigureIds } from './relay-experiments.ts';
import type { RelayMeasures } from './relay-measures.ts';
import { type RelaySizes, relaySizes } from './relay-sizes.ts';
import type { Load } from './throughput.ts';

const pollMs = 100;
const sizes: RelaySizes = { ...relaySizes({}), runs: 3, memoryRuns: 3 };

/** What each measurement answers, run by run; each pair of runs must stay together for the ratios to be these. */
const throughput = [
  [90, 100],
  [80, 100],
  [170, 200],
] as const;
const wal = [100, 400, 50];
const catchUp = [50, 196, 20];
const p99 = { wal: [10, 20, 10], table: [115, 140, 122], dead: [11, 30, 10] };
const arrived = [950, 990, 900];
const memory = [
  {
    most: 250,
    backlogEarly: 100,
    backlogLate: 90,
    steadyBefore: 100,
    steadyWith: 110,
    emitted: 19_500,
    taken: 19_000,
  },
  {
    most: 256,
    backlogEarly: 200,
    backlogLate: 210,
    steadyBefore: 200,
    steadyWith: 200,
    emitted: 20_000,
    taken: 20_000,
  },
  {
    most: 300,
    backlogEarly: 100,
    backlogLate: 130,
    steadyBefore: 100,
    steadyWith: 130,
    emitted: 18_000,
    taken: 17_000,
  },
] as const;

/** Answers without a product; keeps what it was asked, in order. */
class Pretended implements RelayMeasures {
  readonly asked: string[] = [];
  readonly #times = new Map<string, number>();

  async throughput(load: Load, productFirst: boolean): Promise<readonly [number, number]> {
    return this.#next(throughput, { what: shape('pair', load), also: productFirst ? 'product first' : '' });
  }

  async wal(load: Load): Promise<number> {
    return this.#next(wal, { what: shape('wal', load) });
  }

  async catchUp(load: Load): Promise<number> {
    return this.#next(catchUp, { what: shape('table', load) });
  }

  async latency(options: Omit<LatencyOptions, 'port'>): Promise<Latency> {
    const { source, keys, perSecond, seconds, deadSink = false } = options;
    const side = deadSink ? 'dead' : source;
    const what = `${side} ${keys} ${perSecond}/s ${seconds} s`;
    const delay = this.#next(p99[side], { what });
    const turn = (this.#times.get(what) ?? 1) - 1;
    return { p50: 1, p99: delay, arrived: arrived[turn] ?? Number.NaN, emitted: 1_000 };
  }

  async memory(options: Parameters<RelayMeasures['memory']>[0]): ReturnType<RelayMeasures['memory']> {
    const { backlog, keys, perSecond, seconds } = options;
    const found = this.#next(memory, { what: `memory ${keys} ${backlog} ${perSecond}/s ${seconds} s` });
    return { ...found, backlog: backlog + 2 * perSecond * seconds };
  }

  #next<T>(values: readonly T[], { what, also = '' }: { readonly what: string; readonly also?: string }): T {
    this.asked.push(`${what} ${also}`.trim());
    const time = this.#times.get(what) ?? 0;
    this.#times.set(what, time + 1);
    const value = values[time];
    if (value === undefined) throw new Error(`${what} was measured more often than it has runs`);
    return value;
  }
}

function shape(what: string, { perTransaction, keys, events }: Load): string {
  return `${what} ${perTransaction} ${keys} ${events}`;
}

async function figuresFor(...only: string[]): Promise<{ figures: readonly Figure[]; asked: string[] }> {
  const measures = new Pretended();
  const all = relayExperiments({ measures, sizes, pollMs });
  const { figures, failures } = await runExperiments(chosenOf(all, only.length === 0 ? undefined : only), {
    starting: () => undefined,
    done: () => undefined,
    repeating: () => undefined,
    brokeOff: () => undefined,
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

describe('the experiments of `npm run bench -- relay`', () => {
  test('every figure stands beside its reference of the same run, and is judged by its budget', async () => {
    const { figures } = await figuresFor();
    // Of the runs the median (of the ratios it is not the ratio of the medians); of memory the worst.
    const withKeys = (suffix: string): Short[] => [
      [`R6-kept${suffix}`, 950, 1_000, 0.95, true],
      [`R6-p99${suffix}`, 22, 10, 2, true],
      ...(suffix === '' ? [['isolation-p99', 11, 10, 1.1, null] as const] : []),
    ];
    const memoryWithKeys = (suffix: string, written: number): Short[] => [
      [`R4${suffix}`, 300, null, null, false],
      [`R4-taken${suffix}`, 19_000, 20_000, 0.95, true],
      [`R4-emitted${suffix}`, 19_500, 20_000, 0.975, null],
      [`R4-growth${suffix}`, 130, 100, 1.05, true],
      [`R4-after${suffix}`, 130, 100, 1.1, null],
      [`R4-backlog${suffix}`, written, written, 1, true],
    ];
    expect(figures.map(short)).toEqual([
      ...['R1-1000', 'R1-1000-hot', 'R1-1', 'R1-1-hot'].map((id): Short => [id, 90, 100, 0.85, true]),
      ...['R5a', 'R5a-hot'].map((id): Short => [id, 50, 100, 0.49, false]),
      ...withKeys(''),
      ...withKeys('-hot'),
      ...memoryWithKeys('', 6_200_000),
      ...memoryWithKeys('-hot', 2_200_000),
    ]);
    expect(figures.map(({ id }) => id)).toEqual(relayFigureIds);
    for (const { id, runs } of figures) expect(runs, id).toBe(3);
  });

  test('both sides of a pair take turns, and the other one begins in every second run', async () => {
    const { asked } = await figuresFor('R1-1-hot', 'R5a', 'R6-p99-hot');
    const load = (side: string, keys: string): string => `${side} 1000 ${keys} 500000`;
    const pairs = (a: string, b: string): string[] => [a, b, b, a, a, b];
    expect(asked).toEqual([
      'pair 1 hot 500000',
      'pair 1 hot 500000 product first',
      'pair 1 hot 500000',
      ...pairs(load('table', 'many'), load('wal', 'many')),
      ...pairs(load('table', 'hot'), load('wal', 'hot')),
      ...pairs('wal hot 5000/s 15 s', 'table hot 5000/s 15 s'),
    ]);
  });

  test('a dead sink is measured beside the same load without one, in turns', async () => {
    const { asked, figures } = await figuresFor('isolation');
    const [live, table, dead] = ['wal', 'table', 'dead'].map((side) => `${side} many 5000/s 15 s`);
    expect(asked).toEqual([live, table, dead, dead, table, live, live, table, dead]);
    expect(figures.find(({ id }) => id === 'isolation-p99')?.spread).toEqual([1, 1.5]);
  });

  test('the runs of R4 are its own; the backlog of one hot key is the smaller one', async () => {
    const { asked } = await figuresFor('R4');
    expect(asked).toEqual([
      ...Array.from({ length: 3 }, () => 'memory many 5000000 20000/s 30 s'),
      ...Array.from({ length: 3 }, () => 'memory hot 1000000 20000/s 30 s'),
    ]);
  });
});

describe('how much is measured', () => {
  test('by default five runs, three of R4, and 5,000,000 events', () => {
    expect(relaySizes({})).toMatchObject({
      ...{ runs: 5, memoryRuns: 3, throughputEvents: 500_000 },
      ...{ backlogEvents: 5_000_000, hotBacklogEvents: 1_000_000, livePerSecond: 20_000, liveSeconds: 30 },
    });
  });

  test('what is asked for holds for every figure', () => {
    expect(relaySizes({ runs: 4, events: 3_000 })).toEqual({
      ...{ runs: 4, memoryRuns: 4, throughputEvents: 3_000 },
      ...{
        latencySeconds: 1,
        pollingPerSecond: 3_000,
        pollingSeconds: 2,
        livePerSecond: 3_000,
        liveSeconds: 2,
      },
      ...{ backlogEvents: 3_000, hotBacklogEvents: 3_000 },
    });
  });

  test('R4 has as many runs as its size says', () => {
    const options = { measures: new Pretended(), sizes: { ...sizes, runs: 7, memoryRuns: 2 }, pollMs };
    const runs = relayExperiments(options).map(({ name, runs: count }) => `${name} ${count}`);
    expect(runs).toEqual([
      ...['R1-1000 7', 'R1-1000-hot 7', 'R1-1 7', 'R1-1-hot 7', 'R5a 7', 'R5a-hot 7', 'R6 7', 'R6-hot 7'],
      ...['R4 2', 'R4-hot 2'],
    ]);
  });
});
