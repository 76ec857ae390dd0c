import { freePort } from '@event-runtime/runtime/testing';
import driver from 'pg/package.json' with { type: 'json' };
import { payloadBytes } from './emit/event.ts';
import { plainFigure, worstFigure } from './measure/figure.ts';
import { type HugeTransaction, measureHugeTransaction } from './relay/huge-transaction.ts';
import { openRelaySite, serverSettings } from './relay/site.ts';
import { thisMachine } from './report/machine.ts';
import type { Bench, BenchReport, BenchRequest } from './report/report.ts';

/** A transaction of a million events, from the WAL and from the table. */
export const hugeTransactionBench: Bench = {
  name: 'huge-transaction',
  about:
    'one transaction of 1,000,000 events into a file, from the WAL and from the table: time, memory, verdict',
  run: runHugeTransactionBench,
};

async function runHugeTransactionBench(request: BenchRequest): Promise<BenchReport> {
  const { runs = 5, events = 1_000_000, progress } = request;
  const machine = thisMachine();
  progress('starting PostgreSQL');
  await using site = await openRelaySite();
  const port = await freePort();
  const figures = [];
  for (const source of ['wal', 'table'] as const) {
    const all: HugeTransaction[] = [];
    for (let run = 0; run < runs; run += 1) {
      progress(`${source}: run ${run + 1} of ${runs}`);
      all.push(await measureHugeTransaction(site, { port, events, source }));
    }
    const figure = (
      name: {
        readonly id: string;
        readonly label: string;
        readonly unit: string;
        readonly budget: number | null;
      },
      of: (run: HugeTransaction) => number,
    ) =>
      (name.budget === null ? plainFigure : worstFigure)(
        { ...name, id: `huge-${source}-${name.id}` },
        all.map(of),
      );
    figures.push(
      figure(
        { id: 'seconds', label: 'from COMMIT to the last line', unit: 's', budget: null },
        (run) => run.seconds,
      ),
      figure(
        { id: 'memory', label: 'resident memory, at most', unit: 'MB', budget: 256 },
        (run) => run.mostMemory,
      ),
      figure({ id: 'lost', label: 'events that did not come', unit: 'events', budget: 0 }, (run) => run.lost),
      figure(
        {
          id: 'reordered',
          label: 'events that came after a later one of their entity',
          unit: 'events',
          budget: 0,
        },
        (run) => run.reordered,
      ),
      figure(
        { id: 'duplicates', label: 'lines beyond one for each event', unit: 'lines', budget: null },
        (run) => run.duplicates,
      ),
    );
  }
  return {
    figures,
    versions: { postgres: site.version, node: process.versions.node, pg: driver.version },
    machine,
    settings: { runs, events, besidePerSecond: 500, payloadBytes, ...serverSettings },
  };
}
