import { freePort } from '@event-runtime/runtime/testing';
import driver from 'pg/package.json' with { type: 'json' };
import { payloadBytes } from './emit/event.ts';
import { type Figure, median, plainFigure, ratioFigure } from './measure/figure.ts';
import { measureLatency } from './relay/latency.ts';
import { measureMemory } from './relay/memory.ts';
import { openRelaySite, type RelaySite, serverSettings } from './relay/site.ts';
import { type Load, measureCatchUp, measureThroughput } from './relay/throughput.ts';
import { thisMachine } from './report/machine.ts';
import type { Bench, BenchReport, BenchRequest } from './report/report.ts';

/** What the relay carries: budgets R1, R4, R5a and R6. */
export const relayBench: Bench = {
  name: 'relay',
  about: '`event-runtime start` against pg_recvlogical: throughput, catch-up, polling, memory',
  run: runRelayBench,
};

const pollMs = 100;

const loads: ReadonlyArray<Omit<Load, 'events'> & { readonly id: string; readonly budget: number | null }> = [
  { id: 'R1-1000', perTransaction: 1_000, keys: 'many', budget: 0.85 },
  { id: 'R1-1', perTransaction: 1, keys: 'many', budget: 0.85 },
  { id: 'R1-1000-hot', perTransaction: 1_000, keys: 'hot', budget: 0.85 },
];

async function runRelayBench(request: BenchRequest): Promise<BenchReport> {
  const { runs, events = 5_000_000, only, progress } = request;
  const machine = thisMachine();
  progress('starting PostgreSQL');
  await using site = await openRelaySite();
  const port = await freePort();
  const sizes = {
    throughputEvents: Math.min(events, 500_000),
    pollingPerSecond: Math.min(events, 5_000),
    pollingSeconds: events < 100_000 ? 2 : 15,
    backlogEvents: events,
    livePerSecond: Math.min(events, 20_000),
    liveSeconds: events < 100_000 ? 2 : 30,
  };
  const context = { site, port, runs, progress, sizes };
  const wanted = (...ids: readonly string[]): boolean =>
    only === undefined || ids.some((id) => only.some((wish) => id.startsWith(wish) || wish.startsWith(id)));
  const figures: Figure[] = [];
  if (wanted('R1', 'R5a')) figures.push(...(await throughputFigures(context)));
  if (wanted('R5a')) figures.push(await catchUpFigure(context, figures[0]?.value ?? Number.NaN));
  if (wanted('R6', 'isolation-p99')) figures.push(...(await pollingFigures(context)));
  if (wanted('R4')) figures.push(...(await memoryFigures(context)));
  return {
    figures,
    versions: { postgres: site.version, node: process.versions.node, pg: driver.version },
    machine,
    settings: {
      runs,
      ...sizes,
      payloadBytes,
      manyKeys: 10_000,
      hotKeys: 1,
      batchEvents: 1_000,
      batchBytes: 4 * 1_024 * 1_024,
      windowBytes: 32 * 1_024 * 1_024,
      checkpointMs: 1_000,
      pollMs,
      ...serverSettings,
    },
  };
}

interface Context {
  readonly site: RelaySite;
  readonly port: number;
  readonly runs: number;
  readonly progress: (line: string) => void;
  readonly sizes: Readonly<Record<string, number>>;
}

async function throughputFigures({ site, port, runs, progress, sizes }: Context): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const { id, budget, ...shape } of loads) {
    const pairs: Array<readonly [number, number]> = [];
    for (let run = 0; run < runs; run += 1) {
      progress(`${id}: run ${run + 1} of ${runs}`);
      const load = { ...shape, events: sizes['throughputEvents'] ?? 0 };
      pairs.push(await measureThroughput(site, { port, load, productFirst: run % 2 === 1 }));
    }
    const label = `${shape.perTransaction} rows a transaction, ${shape.keys === 'hot' ? 'one hot key' : 'many keys'}, into null, against pg_recvlogical`;
    figures.push(ratioFigure({ id, label, unit: 'rows/s', budget, goal: 'at least' }, pairs));
  }
  return figures;
}

async function catchUpFigure({ site, port, runs, progress, sizes }: Context, wal: number): Promise<Figure> {
  const pairs: Array<readonly [number, number]> = [];
  for (let run = 0; run < runs; run += 1) {
    progress(`R5a: run ${run + 1} of ${runs}`);
    const load = { events: sizes['throughputEvents'] ?? 0, perTransaction: 1_000, keys: 'many' } as const;
    pairs.push([await measureCatchUp(site, { port, load }), wal]);
  }
  const label = 'catch-up from the table into null, against R1-1000';
  return ratioFigure({ id: 'R5a', label, unit: 'rows/s', budget: 0.5, goal: 'at least' }, pairs);
}

async function pollingFigures({ site, port, runs, progress, sizes }: Context): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const keys of ['many', 'hot'] as const) {
    const kept: Array<readonly [number, number]> = [];
    const p99: Array<readonly [number, number]> = [];
    const dead: Array<readonly [number, number]> = [];
    for (let run = 0; run < runs; run += 1) {
      progress(`R6, ${keys}: run ${run + 1} of ${runs}`);
      const rate = { perSecond: sizes['pollingPerSecond'] ?? 0, seconds: sizes['pollingSeconds'] ?? 0 };
      const wal = await measureLatency(site, { port, source: 'wal', keys, ...rate });
      const table = await measureLatency(site, { port, source: 'table', keys, ...rate });
      kept.push([table.arrived, table.emitted]);
      // Beyond the interval, for which an event waits because nobody looks.
      p99.push([Math.max(0, table.p99 - pollMs), wal.p99]);
      if (keys === 'many') {
        dead.push([
          (await measureLatency(site, { port, source: 'wal', keys, ...rate, deadSink: true })).p99,
          wal.p99,
        ]);
      }
    }
    const suffix = keys === 'hot' ? '-hot' : '';
    const what = keys === 'hot' ? 'one hot key' : 'many keys';
    figures.push(
      ratioFigure(
        {
          id: `R6-kept${suffix}`,
          label: `polling, ${what}: arrived of the rate that was emitted`,
          unit: 'events/s',
          budget: 0.95,
          goal: 'at least',
        },
        kept,
      ),
      ratioFigure(
        {
          id: `R6-p99${suffix}`,
          label: `polling, ${what}: p99 beyond the interval, against the WAL's p99`,
          unit: 'ms',
          budget: 2,
        },
        p99,
      ),
    );
    if (dead.length > 0) {
      figures.push(
        ratioFigure(
          {
            id: 'isolation-p99',
            label: 'p99 of a live sink beside a dead one, against without',
            unit: 'ms',
            budget: null,
          },
          dead,
        ),
      );
    }
  }
  return figures;
}

async function memoryFigures({ site, port, progress, sizes }: Context): Promise<Figure[]> {
  const memory = await measureMemory(site, {
    port,
    progress,
    backlog: sizes['backlogEvents'] ?? 0,
    perSecond: sizes['livePerSecond'] ?? 0,
    seconds: sizes['liveSeconds'] ?? 0,
  });
  return [
    plainFigure(
      { id: 'R4', label: 'resident memory at most, one dead sink, one live', unit: 'MB', budget: 256 },
      [memory.most],
    ),
    plainFigure(
      { id: 'R4-growth', label: 'resident memory, last third by the middle one', unit: '', budget: 1.1 },
      [memory.growth],
    ),
    plainFigure(
      { id: 'R4-backlog', label: 'events that the dead sink has not', unit: 'events', budget: null },
      [median([memory.backlog])],
    ),
  ];
}
