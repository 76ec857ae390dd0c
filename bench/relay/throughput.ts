import { Disturbed } from '../measure/disturbed.ts';
import { readWithPgRecvlogical } from './pg-recvlogical.ts';
import { Product, type Scrape } from './product.ts';
import type { Keys, RelaySite } from './site.ts';

const referenceSlot = 'bench_reference';

export interface Load {
  readonly events: number;
  readonly perTransaction: number;
  readonly keys: Keys;
}

/** A sink as in a configuration file. */
export interface SinkConfiguration {
  readonly type: string;
  readonly name: string;
  readonly [setting: string]: unknown;
}

/** Where the product is measured: its port, and where its events go. */
export interface ProductSite {
  readonly port: number;
  readonly into: SinkConfiguration;
}

/** What the product did between the first look that found something delivered and the last one. */
export interface Pace {
  readonly perSecond: number;
  /** User and system time of its process. */
  readonly cpuSecondsPerThousand: number;
}

export const nullSink: SinkConfiguration = { type: 'null', name: 'null' };

/** How many rows a second the product and `pg_recvlogical` read of the same WAL: one pair. */
export async function measureThroughput(
  site: RelaySite,
  options: { readonly port: number; readonly load: Load; readonly productFirst: boolean },
): Promise<readonly [product: number, reference: number]> {
  const { load } = options;
  const at = { port: options.port, into: nullSink };
  await beginInTheWal(site, at);
  await site.sql.query(`select pg_create_logical_replication_slot('${referenceSlot}', 'pgoutput')`);
  try {
    const endLsn = await site.load(load);
    const reference = async (): Promise<number> =>
      load.events / (await readWithPgRecvlogical({ url: site.url, slot: referenceSlot, endLsn }));
    const before = options.productFirst ? undefined : await reference();
    const { perSecond: value } = await readOn(site, { ...at, events: load.events });
    return [value, before ?? (await reference())];
  } finally {
    await site.sql.query(`select pg_drop_replication_slot('${referenceSlot}')`);
  }
}

/** How the product reads the WAL. */
export async function measureWal(
  site: RelaySite,
  { load, ...at }: ProductSite & { readonly load: Load },
): Promise<Pace> {
  await beginInTheWal(site, at);
  await site.load(load);
  return await readOn(site, { ...at, events: load.events });
}

/** How a sink that has been paused takes events from the table. */
export async function measureCatchUp(
  site: RelaySite,
  { port, into, load }: ProductSite & { readonly load: Load },
): Promise<Pace> {
  const sink = into.name;
  await site.clear();
  await using product = await startInto(site, { port, into });
  await product.live(sink);
  await site.sql.query(`update event_runtime.relay_checkpoint set paused_at = now() where sink = '${sink}'`);
  await product.until((scrape) => scrape.value('event_runtime_sink_paused', { sink }) === 1, 100);
  const before = await product.until(() => true);
  await site.load(load);
  await site.sql.query(`update event_runtime.relay_checkpoint set paused_at = null where sink = '${sink}'`);
  return await pace(product, { sink, events: load.events, from: delivered(before, sink) });
}

/** Leaves a product that is stopped behind, with a slot and a checkpoint from which it goes on in the WAL. */
export async function beginInTheWal(site: RelaySite, at: ProductSite): Promise<void> {
  await site.clear();
  await using product = await startInto(site, at);
  await product.live(at.into.name);
  await site.load({ events: 1, perTransaction: 1, keys: 'many' });
  await storedLive(site);
}

/** Starts it where it was left by {@link beginInTheWal}, until it has so many more events. */
export async function readOn(
  site: RelaySite,
  { events, ...at }: ProductSite & { readonly events: number },
): Promise<Pace> {
  await using product = await startInto(site, at);
  const sink = at.into.name;
  return await pace(product, { sink, events, from: 0, live: true });
}

async function startInto(site: RelaySite, { port, into }: ProductSite): Promise<Product> {
  return await Product.start({ databaseUrl: site.url, port, configuration: { sinks: [into] } });
}

function delivered(scrape: Scrape, sink: string): number {
  return scrape.value('event_runtime_sink_delivered_total', { sink });
}

/** Between the first look that finds something delivered and the last one. @throws where that is too short a time */
async function pace(
  product: Product,
  options: {
    readonly sink: string;
    readonly events: number;
    readonly from: number;
    /** Whether it reads the WAL all the time. Default false. */
    readonly live?: boolean;
  },
): Promise<Pace> {
  const { sink, events, from, live = false } = options;
  const first = await product.until((scrape) => delivered(scrape, sink) > from, 5);
  if (delivered(first, sink) - from > events / 2) {
    throw new Error(
      `${events} events are too few: half of them had come at the first look; give more --events`,
    );
  }
  let wasLive = false;
  const last = await product.until((scrape) => {
    const isLive = scrape.value('event_runtime_sink_mode', { sink, mode: 'live' }) === 1;
    // From the table it is given some of them once more, and they are counted twice.
    if (live && wasLive && !isLive) {
      throw new Disturbed(`the sink left the WAL after ${delivered(scrape, sink)} events`);
    }
    wasLive = isLive;
    return delivered(scrape, sink) >= from + events;
  });
  const count = delivered(last, sink) - delivered(first, sink);
  const cpu = last.value('process_cpu_seconds_total') - first.value('process_cpu_seconds_total');
  return {
    perSecond: count / ((last.at - first.at) / 1_000),
    cpuSecondsPerThousand: (cpu / count) * 1_000,
  };
}

/** Waits for a checkpoint from which the sink goes on in the WAL. @throws when there is none for two minutes */
async function storedLive(site: RelaySite): Promise<void> {
  for (let look = 1; look <= 120; look += 1) {
    const { rows } = await site.sql.query(
      `select from event_runtime.relay_checkpoint c
        where c.mode = 'live'
          and not exists (select from event_runtime.outbox o where not pg_visible_in_snapshot(o.tx_id, c.snapshot))`,
    );
    if (rows.length > 0) return;
    await site.sql.query('select pg_sleep(1)');
    // A sink that got the one before from the table stores no other checkpoint when nothing comes.
    if (look % 5 === 0) await site.load({ events: 1, perTransaction: 1, keys: 'many' });
  }
  throw new Error('the sink has stored no checkpoint from which it goes on in the WAL');
}
