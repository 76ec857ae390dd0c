import { freePort } from '@event-runtime/runtime/testing';
import driver from 'pg/package.json' with { type: 'json' };
import { payloadBytes } from './emit/event.ts';
import { type Figure, median, plainFigure, ratioFigure } from './measure/figure.ts';
import { openRelaySite, serverSettings } from './relay/site.ts';
import { measureStoppedSink, type StoppedSink } from './relay/stopped-sink.ts';
import { thisMachine } from './report/machine.ts';
import type { Bench, BenchReport, BenchRequest } from './report/report.ts';

/** What a sink that stands still does to the others, to the slot and to itself. */
export const stoppedSinkBench: Bench = {
  name: 'stopped-sink',
  about:
    'a sink that stands still for a whole run: the p99 of another, WAL kept, memory, and how it catches up',
  run: runStoppedSinkBench,
};

const perSecond = 5_000;

async function runStoppedSinkBench(request: BenchRequest): Promise<BenchReport> {
  const { runs, events = 1_000_000, progress } = request;
  const machine = thisMachine();
  progress('starting PostgreSQL');
  await using site = await openRelaySite();
  const options = { port: await freePort(), perSecond, progress };
  const pairs: Array<readonly [StoppedSink, StoppedSink]> = [];
  for (let run = 0; run < runs; run += 1) {
    progress(`run ${run + 1} of ${runs}`);
    const reference = await measureStoppedSink(site, { ...options, events, stopped: false });
    pairs.push([await measureStoppedSink(site, { ...options, events, stopped: true }), reference]);
  }
  return {
    figures: figuresOf(pairs),
    versions: { postgres: site.version, node: process.versions.node, pg: driver.version },
    machine,
    settings: { runs, events, perSecond, payloadBytes, manyKeys: 10_000, ...serverSettings },
  };
}

function figuresOf(pairs: ReadonlyArray<readonly [StoppedSink, StoppedSink]>): Figure[] {
  const plain = (
    name: { readonly id: string; readonly label: string; readonly unit: string; readonly budget?: number },
    of: (run: StoppedSink) => number,
  ): Figure =>
    plainFigure(
      { budget: null, ...name },
      pairs.map(([stopped]) => of(stopped)),
    );
  const p99 = pairs.map(
    ([stopped, reference]) => [median([...stopped.p99OfParts]), median([...reference.p99OfParts])] as const,
  );
  return [
    ratioFigure(
      {
        id: 'stopped-p99',
        label: 'p99 of the live sink (median of four parts), one stopped, against both working',
        unit: 'ms',
        // The same thing measured twice differs by as much.
        budget: 1.5,
      },
      p99,
    ),
    plain(
      { id: 'stopped-p99-growth', label: 'p99 of the last part by that of the first', unit: '' },
      ({ p99OfParts }) => (p99OfParts.at(-1) ?? 0) / (p99OfParts[0] ?? 1),
    ),
    plain(
      { id: 'stopped-unconfirmed', label: 'WAL not confirmed, at most', unit: 'MB' },
      (run) => run.mostUnconfirmed,
    ),
    plain({ id: 'stopped-kept', label: 'WAL kept for the slot, at most', unit: 'MB' }, (run) => run.mostKept),
    plain(
      { id: 'stopped-memory', label: 'resident memory, at most', unit: 'MB', budget: 256 },
      (run) => run.mostMemory,
    ),
    plain(
      { id: 'stopped-caught-up', label: 'until the stopped sink had everything', unit: 's' },
      (run) => run.caughtUpIn,
    ),
    plain(
      { id: 'stopped-lost', label: 'events that it did not get', unit: 'events', budget: 0 },
      (run) => run.lost,
    ),
    plain(
      {
        id: 'stopped-reordered',
        label: 'events that came after a later one of their entity',
        unit: 'events',
        budget: 0,
      },
      (run) => run.reordered,
    ),
  ];
}
