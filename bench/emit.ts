import { EmbeddedPostgres } from '@event-runtime/runtime/testing';
import driver from 'pg/package.json' with { type: 'json' };
import { payloadBytes } from './emit/event.ts';
import { measureEmit } from './emit/measure-emit.ts';
import { openEmitSite } from './emit/site.ts';
import { thisMachine } from './report/machine.ts';
import type { Bench, BenchReport, BenchRequest } from './report/report.ts';

/** What the producer pays: budgets E1 and E2. */
export const emitBench: Bench = {
  name: 'emit',
  about: 'emit and emitMany against hand-written INSERTs, in transactions that are synced to disk',
  run: runEmitBench,
};

async function runEmitBench({ runs = 5, progress }: BenchRequest): Promise<BenchReport> {
  const machine = thisMachine();
  progress('starting PostgreSQL');
  // As it comes: fsync, synchronous_commit and full_page_writes are on.
  await using postgres = await EmbeddedPostgres.start();
  await using site = await openEmitSite(postgres.url);
  const settings = { runs, slices: 8, transactions: 150, manyCalls: 10, connections: 4 };
  const figures = await measureEmit(site, { ...settings, progress });
  const { rows } = await site.owner.query<{ version: string; fsync: string; commit: string }>(
    `select current_setting('server_version') as version, current_setting('fsync') as fsync,
            current_setting('synchronous_commit') as commit`,
  );
  const [server] = rows;
  return {
    figures,
    versions: { postgres: server?.version ?? '', node: process.versions.node, pg: driver.version },
    machine,
    settings: {
      ...settings,
      payloadBytes,
      fsync: server?.fsync ?? '',
      synchronousCommit: server?.commit ?? '',
    },
  };
}
