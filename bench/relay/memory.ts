import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemorySamples } from './memory-samples.ts';
import { Product, type Scrape } from './product.ts';
import type { Keys, RelaySite } from './site.ts';
import { emitSteadily } from './steady-emit.ts';
import { nullSink, type SinkConfiguration } from './throughput.ts';

export interface MemoryOptions {
  readonly port: number;
  /** Events that the dead sink has not, before the last phase. */
  readonly backlog: number;
  /** Events a second into the live sink, in the first phase and in the last one. */
  readonly perSecond: number;
  /** Of each of these phases. Their first third does not count for the means: a dead sink leaves the window after 10 s. */
  readonly seconds: number;
  readonly keys: Keys;
  /** The live sink. Default: one that takes everything at once. */
  readonly into?: SinkConfiguration;
  readonly progress: (line: string) => void;
}

export interface Memory {
  /** The largest resident memory that was seen, in any phase. MB. */
  readonly most: number;
  /** Mean while the backlog was written: of its second quarter, and of its last one. MB. */
  readonly backlogEarly: number;
  readonly backlogLate: number;
  /** Mean at the steady rate, without its first third: before there was a backlog, and with it. MB. */
  readonly steadyBefore: number;
  readonly steadyWith: number;
  /** Events a second in the last phase: what the writers made, and what the live sink took. */
  readonly emitted: number;
  readonly taken: number;
  /** Events of the backlog of the dead sink at the end. */
  readonly backlog: number;
}

const perTransaction = 100;
const sampleMs = 200;

/**
 * A relay with a sink that is dead all the time, and a live one: at a steady rate, as fast as the backlog can be
 * written, and at the same rate again.
 */
export async function measureMemory(site: RelaySite, options: MemoryOptions): Promise<Memory> {
  const { backlog, perSecond, seconds, keys, progress, into = nullSink } = options;
  const live = into.name;
  const deliveredBy = (scrape: Scrape): number =>
    scrape.value('event_runtime_sink_delivered_total', { sink: live });
  await site.clear();
  const path = join(tmpdir(), 'event-runtime-bench-missing', 'folder', 'events.ndjson');
  await using product = await Product.start({
    databaseUrl: site.url,
    port: options.port,
    configuration: {
      sinks: [into, { type: 'file', name: 'dead', path }],
    },
  });
  await product.live(live);
  await using samples = new MemorySamples(async () => {
    const scrape = await product.until(() => true, sampleMs);
    return scrape.value('process_resident_memory_bytes') / 1e6;
  }, sampleMs);
  const steadily = async (): Promise<SteadyPhase> => {
    progress(`  ${perSecond} events a second for ${seconds} s`);
    return await steadyPhase(product, { url: site.url, perSecond, seconds, keys, samples, deliveredBy });
  };
  const before = await steadily();
  progress(`  a backlog of ${backlog} events`);
  const quarters: number[] = [];
  for (let quarter = 0; quarter < 4; quarter += 1) {
    const first = samples.count;
    const wanted = deliveredBy(await product.until(() => true)) + backlog / 4;
    await site.load({ events: backlog / 4, perTransaction: 1_000, keys });
    await product.until((scrape) => deliveredBy(scrape) >= wanted, 200);
    await samples.beyond(first);
    quarters.push(samples.meanSince(first));
  }
  const after = await steadily();
  const { rows } = await site.sql.query<{ events: string }>(
    `select count(*)::text as events from event_runtime.outbox o, event_runtime.relay_checkpoint c
      where c.sink = 'dead' and not pg_visible_in_snapshot(o.tx_id, c.snapshot)`,
  );
  return {
    most: samples.most,
    backlogEarly: quarters[1] ?? Number.NaN,
    backlogLate: quarters[3] ?? Number.NaN,
    steadyBefore: before.mean,
    steadyWith: after.mean,
    emitted: after.emitted,
    taken: after.taken,
    backlog: Number(rows[0]?.events),
  };
}

interface SteadyPhase {
  /** Events a second, until all were written, and until the live sink had all of them. */
  readonly emitted: number;
  readonly taken: number;
  /** MB, of the samples behind the first third. */
  readonly mean: number;
}

async function steadyPhase(
  product: Product,
  options: {
    readonly url: string;
    readonly perSecond: number;
    readonly seconds: number;
    readonly keys: Keys;
    readonly samples: MemorySamples;
    readonly deliveredBy: (scrape: Scrape) => number;
  },
): Promise<SteadyPhase> {
  const { samples, url, deliveredBy, ...rate } = options;
  const events = rate.perSecond * rate.seconds;
  const wanted = deliveredBy(await product.until(() => true)) + events;
  const firstSample = samples.count;
  const began = performance.now();
  const [emittedAt, { at: takenAt }] = await Promise.all([
    emitSteadily(url, { ...rate, perTransaction }).then(() => performance.now()),
    product.until((scrape) => deliveredBy(scrape) >= wanted, 100),
  ]);
  return {
    emitted: events / ((emittedAt - began) / 1_000),
    taken: events / ((takenAt - began) / 1_000),
    mean: samples.meanSince(firstSample),
  };
}
