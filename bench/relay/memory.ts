import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Product } from './product.ts';
import type { RelaySite } from './site.ts';
import { emitSteadily } from './steady-emit.ts';

export interface Memory {
  /** The largest resident memory that was seen, in MB. */
  readonly most: number;
  /** The mean of the last third, by that of the middle one. */
  readonly growth: number;
  /** Events of the backlog of the dead sink at the end. */
  readonly backlog: number;
}

const perTransaction = 100;

/** A relay with a sink that is dead all the time, its backlog, and a live one that takes a steady rate. */
export async function measureMemory(
  site: RelaySite,
  options: {
    readonly port: number;
    readonly backlog: number;
    readonly perSecond: number;
    readonly seconds: number;
    readonly progress: (line: string) => void;
  },
): Promise<Memory> {
  await site.clear();
  const path = join(tmpdir(), 'event-runtime-bench-missing', 'folder', 'events.ndjson');
  await using product = await Product.start({
    databaseUrl: site.url,
    port: options.port,
    configuration: {
      sinks: [
        { type: 'null', name: 'live' },
        { type: 'file', name: 'dead', path },
      ],
    },
  });
  await product.live('live');
  const samples: number[] = [];
  const over = new AbortController();
  const sampling = (async () => {
    while (!over.signal.aborted) {
      const scrape = await product.until(() => true, 200);
      samples.push(scrape.value('process_resident_memory_bytes') / 1e6);
      await sleep(200);
    }
  })();
  options.progress(`memory: a backlog of ${options.backlog} events`);
  await site.load({ events: options.backlog, perTransaction: 1_000, keys: 'many' });
  await product.until(
    (scrape) => scrape.value('event_runtime_sink_delivered_total', { sink: 'live' }) >= options.backlog,
    200,
  );
  samples.length = 0;
  options.progress(`memory: ${options.perSecond} events a second for ${options.seconds} s`);
  await emitSteadily(site.url, { ...options, perTransaction, keys: 'many' });
  over.abort();
  await sampling;
  const { rows } = await site.sql.query<{ events: string }>(
    `select count(*)::text as events from event_runtime.outbox o, event_runtime.relay_checkpoint c
      where c.sink = 'dead' and not pg_visible_in_snapshot(o.tx_id, c.snapshot)`,
  );
  const third = Math.floor(samples.length / 3);
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  return {
    most: Math.max(...samples),
    growth: mean(samples.slice(-third)) / mean(samples.slice(third, 2 * third)),
    backlog: Number(rows[0]?.events),
  };
}
