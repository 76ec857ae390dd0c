import { readWithPgRecvlogical } from './pg-recvlogical.ts';
import { Product } from './product.ts';
import type { Keys, RelaySite } from './site.ts';

const referenceSlot = 'bench_reference';
const sink = 'null';

export interface Load {
  readonly events: number;
  readonly perTransaction: number;
  readonly keys: Keys;
}

const configuration = { sinks: [{ type: 'null', name: sink }] };

/** How many rows a second the product and `pg_recvlogical` read of the same WAL: one pair. */
export async function measureThroughput(
  site: RelaySite,
  options: { readonly port: number; readonly load: Load; readonly productFirst: boolean },
): Promise<readonly [product: number, reference: number]> {
  const { port, load } = options;
  await beginInTheWal(site, port);
  await site.sql.query(`select pg_create_logical_replication_slot('${referenceSlot}', 'pgoutput')`);
  try {
    const endLsn = await site.load(load);
    const reference = async (): Promise<number> =>
      load.events / (await readWithPgRecvlogical({ url: site.url, slot: referenceSlot, endLsn }));
    const before = options.productFirst ? undefined : await reference();
    const value = await read(site, { port, events: load.events });
    return [value, before ?? (await reference())];
  } finally {
    await site.sql.query(`select pg_drop_replication_slot('${referenceSlot}')`);
  }
}

/** How many rows a second the product reads of the WAL. */
export async function measureWal(
  site: RelaySite,
  { port, load }: { readonly port: number; readonly load: Load },
): Promise<number> {
  await beginInTheWal(site, port);
  await site.load(load);
  return await read(site, { port, events: load.events });
}

/** How many events a second a sink takes from the table that has been paused. */
export async function measureCatchUp(
  site: RelaySite,
  options: { readonly port: number; readonly load: Load },
): Promise<number> {
  await site.clear();
  await using product = await Product.start({ databaseUrl: site.url, port: options.port, configuration });
  await product.live(sink);
  await site.sql.query(`update event_runtime.relay_checkpoint set paused_at = now() where sink = '${sink}'`);
  await product.until((scrape) => scrape.value('event_runtime_sink_paused', { sink }) === 1);
  const before = await product.until(() => true);
  await site.load(options.load);
  await site.sql.query(`update event_runtime.relay_checkpoint set paused_at = null where sink = '${sink}'`);
  return await rate(product, { events: options.load.events, from: delivered(before) });
}

/** Leaves a product that is stopped behind, with a slot and a checkpoint from which it goes on in the WAL. */
async function beginInTheWal(site: RelaySite, port: number): Promise<void> {
  await site.clear();
  await using product = await Product.start({ databaseUrl: site.url, port, configuration });
  await product.live(sink);
  await site.load({ events: 1, perTransaction: 1, keys: 'many' });
  await storedLive(site);
}

async function read(
  site: RelaySite,
  options: { readonly port: number; readonly events: number },
): Promise<number> {
  await using product = await Product.start({ databaseUrl: site.url, port: options.port, configuration });
  return await rate(product, { events: options.events, from: 0 });
}

function delivered(scrape: {
  value(name: string, labels: Readonly<Record<string, string>>): number;
}): number {
  return scrape.value('event_runtime_sink_delivered_total', { sink });
}

/** Between the first look that finds something delivered and the last one. @throws where that is too short a time */
async function rate(
  product: Product,
  { events, from }: { readonly events: number; readonly from: number },
): Promise<number> {
  const first = await product.until((scrape) => delivered(scrape) > from, 5);
  if (delivered(first) - from > events / 2) {
    throw new Error(
      `${events} events are too few: half of them had come at the first look; give more --events`,
    );
  }
  const last = await product.until((scrape) => delivered(scrape) >= from + events);
  return (delivered(last) - delivered(first)) / ((last.at - first.at) / 1_000);
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
