import { freePort } from '@event-runtime/runtime/testing';
import driver from 'pg/package.json' with { type: 'json' };
import { payloadBytes } from './emit/event.ts';
import { runExperiments } from './measure/experiment.ts';
import { productLimits } from './relay/product-limits.ts';
import { keyCounts, openRelaySite, serverSettings } from './relay/site.ts';
import { measureStoppedSink } from './relay/stopped-sink.ts';
import { stoppedSinkExperiment } from './relay/stopped-sink-experiment.ts';
import { thisMachine } from './report/machine.ts';
import type { Bench, BenchReport, BenchRequest } from './report/report.ts';
import { scheduleOf } from './report/schedule.ts';

/** What a sink that stands still does to the others, to the slot and to itself. */
export const stoppedSinkBench: Bench = {
  name: 'stopped-sink',
  about:
    'a sink that stands still for a whole run: the p99 of another, WAL kept, memory, and how it catches up',
  run: runStoppedSinkBench,
};

const perSecond = 5_000;

async function runStoppedSinkBench(request: BenchRequest): Promise<BenchReport> {
  const { runs = 3, events = 1_000_000, progress } = request;
  const machine = thisMachine();
  progress('starting PostgreSQL');
  await using site = await openRelaySite();
  const port = await freePort();
  const limits = await productLimits({ databaseUrl: site.url, port, configuration: {} });
  const experiments = [
    stoppedSinkExperiment({
      ...{ runs, events, perSecond },
      measure: async (stopped) =>
        await measureStoppedSink(site, { port, events, perSecond, stopped, progress }),
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
      ...{ runs, repeatedRuns, events, perSecond, payloadBytes, manyKeys: keyCounts.many },
      ...limits,
      ...serverSettings,
    },
  };
}
