import { freePort } from '@event-runtime/runtime/testing';
import driver from 'pg/package.json' with { type: 'json' };
import { payloadBytes } from './emit/event.ts';
import { jetStreamExperiments, jetStreamFigureIds } from './jetstream/jetstream-experiments.ts';
import { jetStreamMeasuresOn } from './jetstream/jetstream-measures.ts';
import { bareInFlight } from './jetstream/jetstream-throughput.ts';
import { natsVersion } from './jetstream/nats-site.ts';
import { chosenOf, runExperiments } from './measure/experiment.ts';
import { productLimits } from './relay/product-limits.ts';
import { relayExperiments, relayFigureIds } from './relay/relay-experiments.ts';
import { measuresOn } from './relay/relay-measures.ts';
import { relaySizes } from './relay/relay-sizes.ts';
import { keyCounts, openRelaySite, type RelaySite, serverSettings } from './relay/site.ts';
import { thisMachine } from './report/machine.ts';
import type { Bench, BenchReport, BenchRequest } from './report/report.ts';
import { scheduleOf } from './report/schedule.ts';

/** What the relay carries: budgets R1 to R7. */
export const relayBench: Bench = {
  name: 'relay',
  about:
    '`event-runtime start` against pg_recvlogical and a bare publisher: throughput, delay, catch-up, polling, memory',
  ids: [...relayFigureIds, ...jetStreamFigureIds],
  async run(request) {
    request.progress('starting PostgreSQL');
    await using site = await openRelaySite();
    return await relayReport(site, request);
  },
};

/** What the benchmark answers, measured on a PostgreSQL that is there. */
export async function relayReport(site: RelaySite, request: BenchRequest): Promise<BenchReport> {
  const { only, progress } = request;
  const machine = thisMachine();
  const sizes = relaySizes(request);
  const port = await freePort();
  const nats = await natsVersion();
  const limits = await productLimits({ databaseUrl: site.url, port, configuration: {} });
  const measures = measuresOn(site, { port, progress });
  const all = [
    ...relayExperiments({ measures, sizes, pollMs: limits.pollMs }),
    ...jetStreamExperiments({ measures: jetStreamMeasuresOn(site, { port, progress }), sizes }),
  ];
  const experiments = chosenOf(all, only);
  const { figures, failures, repeatedRuns } = await runExperiments(
    experiments,
    scheduleOf(experiments, { progress }),
  );
  return {
    figures,
    failures,
    versions: {
      ...{ postgres: site.version, node: process.versions.node, pg: driver.version },
      ...(nats === undefined ? {} : { 'nats-server': nats }),
    },
    machine,
    settings: {
      ...sizes,
      repeatedRuns,
      payloadBytes,
      manyKeys: keyCounts.many,
      hotKeys: keyCounts.hot,
      bareInFlight,
      ...limits,
      ...serverSettings,
    },
  };
}
