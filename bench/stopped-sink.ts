import { freePort } from '@event-runtime/runtime/testing';
import driver from 'pg/package.json' with { type: 'json' };
import { findService } from '../scripts/services/services.ts';
import { payloadBytes } from './emit/event.ts';
import { runExperiments } from './measure/experiment.ts';
import { filePair } from './relay/file-pair.ts';
import { natsPair } from './relay/nats-pair.ts';
import { productLimits } from './relay/product-limits.ts';
import { keyCounts, openRelaySite, type RelaySite, serverSettings } from './relay/site.ts';
import { measureStoppedSink, type SinkPair } from './relay/stopped-sink.ts';
import { stoppedSinkExperiment } from './relay/stopped-sink-experiment.ts';
import { thisMachine } from './report/machine.ts';
import type { Bench, BenchReport, BenchRequest } from './report/report.ts';
import { scheduleOf } from './report/schedule.ts';

/** What a sink that stands still does to the others, to the slot and to itself. */
export const stoppedSinkBench: Bench = {
  name: 'stopped-sink',
  about:
    'a sink that stands still for a whole run: the p99 of another, WAL kept, memory, and how it catches up',
  async run(request) {
    await using site = await newSite(request);
    return await stoppedSinkReport(site, request);
  },
};

/** What the benchmark answers, measured on a PostgreSQL that is there. */
export async function stoppedSinkReport(site: RelaySite, request: BenchRequest): Promise<BenchReport> {
  return await measureOn(site, request, {
    prefix: 'stopped',
    perSecond: 5_000,
    runs: 3,
    open: async (_, stopped) => await filePair(stopped),
  });
}

/** What a nats-server that is dead does to webhooks, to the slot and to its own sink. */
export const deadNatsBench: Bench = {
  name: 'dead-nats',
  about:
    'the same of a nats-server that is killed for a whole run, beside webhooks; then what its stream has',
  async run(request) {
    const program = await findService('nats-server');
    if (program === undefined) throw new Error('there is no nats-server: npm run services');
    await using site = await newSite(request);
    return await measureOn(site, request, {
      // Webhooks, their receiver and PostgreSQL share two cores: what is measured must be no queue.
      ...{ prefix: 'dead-nats', perSecond: 1_000, runs: 1 },
      open: async () => await natsPair(site, program),
    });
  },
};

async function newSite({ progress }: BenchRequest): Promise<RelaySite> {
  progress('starting PostgreSQL');
  return await openRelaySite();
}

async function measureOn(
  site: RelaySite,
  request: BenchRequest,
  of: {
    readonly prefix: string;
    readonly perSecond: number;
    /** Default, where none are asked for. */
    readonly runs: number;
    readonly open: (site: RelaySite, stopped: boolean) => Promise<SinkPair>;
  },
): Promise<BenchReport> {
  const { prefix, perSecond, open } = of;
  const { runs = of.runs, events = 1_000_000, progress } = request;
  const machine = thisMachine();
  const port = await freePort();
  const limits = await productLimits({ databaseUrl: site.url, port, configuration: {} });
  const experiments = [
    stoppedSinkExperiment({
      ...{ prefix, runs, events, perSecond },
      async measure(stopped) {
        await using pair = await open(site, stopped);
        return await measureStoppedSink(site, pair, { port, events, perSecond, stopped, progress });
      },
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
