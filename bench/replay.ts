import { freePort } from '@event-runtime/runtime/testing';
import driver from 'pg/package.json' with { type: 'json' };
import { payloadBytes } from './emit/event.ts';
import { experiment, runExperiments } from './measure/experiment.ts';
import { type Figure, plainFigure, ratioFigure, worstFigure } from './measure/figure.ts';
import { measureReplay, type ReplayRun } from './relay/replay-run.ts';
import { keyCounts, openRelaySite, serverSettings } from './relay/site.ts';
import { thisMachine } from './report/machine.ts';
import type { Bench, BenchReport, BenchRequest } from './report/report.ts';
import { scheduleOf } from './report/schedule.ts';

/** What a replay does to live events, and whether it hands over exactly what was selected, through a kill. */
export const replayBench: Bench = {
  name: 'replay',
  about: 'a tenth of all events once more beside live ones, the relay killed on the way: p99, exact count',
  run: runReplayBench,
};

const rate = 2_000;
const livePerSecond = 2_000;

async function runReplayBench(request: BenchRequest): Promise<BenchReport> {
  const { runs = 1, events = 1_000_000, progress } = request;
  const machine = thisMachine();
  progress('starting PostgreSQL');
  await using site = await openRelaySite();
  const port = await freePort();
  const experiments = [
    experiment<ReplayRun>({
      name: 'replay',
      ids: ['p99', 'p50', 'rate', 'lost', 'phantom', 'reordered', 'miscounted', 'repeated'].map(idOf),
      runs,
      expectedSeconds: events / 20_000 + (1.6 * events) / 10 / rate + 20,
      once: async () => await measureReplay(site, { port, events, rate, livePerSecond, progress }),
      figuresOf,
    }),
  ];
  const { figures, failures, repeatedRuns } = await runExperiments(
    experiments,
    scheduleOf(experiments, { progress }),
  );
  return {
    figures,
    failures,
    versions: { postgres: site.version, node: process.versions.node, pg: driver.version },
    machine,
    settings: {
      ...{ runs, repeatedRuns, events, replayPerSecond: rate, livePerSecond, payloadBytes },
      manyKeys: keyCounts.many,
      ...serverSettings,
    },
  };
}

function figuresOf(runs: readonly ReplayRun[]): Figure[] {
  const none = (name: keyof ReplayRun, label: string): Figure =>
    worstFigure(
      { id: idOf(name), label, unit: 'events', budget: 0 },
      runs.map((run) => run[name]),
    );
  return [
    ratioFigure(
      // The same thing measured twice differs by as much.
      {
        id: idOf('p99'),
        label: 'p99 of live events beside a replay, against without',
        unit: 'ms',
        budget: 1.5,
      },
      runs.map(({ p99, referenceP99 }) => [p99, referenceP99]),
    ),
    ratioFigure(
      {
        id: idOf('p50'),
        label: 'p50 of live events beside a replay, against without',
        unit: 'ms',
        budget: null,
      },
      runs.map(({ p50, referenceP50 }) => [p50, referenceP50]),
    ),
    plainFigure(
      { id: idOf('rate'), label: 'events a second of the replay', unit: 'events/s', budget: null },
      runs.map((run) => run.perSecond),
    ),
    none('lost', 'selected events that did not come once more'),
    none('phantom', 'events that came once more and were not selected'),
    none('reordered', 'events that came after a later one of their entity'),
    none('miscounted', "by how much the job's own count is wrong"),
    worstFigure(
      {
        id: idOf('repeated'),
        label: 'events that came twice, around the kill',
        unit: 'events',
        budget: null,
      },
      runs.map((run) => run.repeated),
    ),
  ];
}

function idOf(name: string): string {
  return `replay-${name}`;
}
