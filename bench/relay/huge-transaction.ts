import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { claim, tenant } from '../emit/event.ts';
import { verdictOn } from './file-pair.ts';
import { Product } from './product.ts';
import type { RelaySite } from './site.ts';
import { emitSteadily } from './steady-emit.ts';

export interface HugeTransaction {
  /** From its COMMIT until all of it was in the file. */
  readonly seconds: number;
  /** The largest resident memory of the relay. MB. */
  readonly mostMemory: number;
  readonly lost: number;
  readonly reordered: number;
  /** Lines beyond one for each event. */
  readonly duplicates: number;
}

/** Small transactions beside it, while it is open. */
const beside = { perSecond: 500, seconds: 5, perTransaction: 1, keys: 'many' } as const;

/** One transaction of so many events, with small ones beside it, into a file. */
export async function measureHugeTransaction(
  site: RelaySite,
  options: { readonly port: number; readonly events: number; readonly source: 'wal' | 'table' },
): Promise<HugeTransaction> {
  const folder = await mkdtemp(join(tmpdir(), 'event-runtime-bench-'));
  const path = join(folder, 'events.ndjson');
  await site.clear();
  const client = new pg.Client({ connectionString: site.url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await using product = await Product.start({
      databaseUrl: site.url,
      port: options.port,
      configuration: { sinks: [{ type: 'file', name: 'file', path }], relay: { source: options.source } },
    });
    if (options.source === 'wal') await product.live('file');
    else await product.until((scrape) => scrape.value('event_runtime_lease_held', { sink: 'file' }) === 1);
    const payload = JSON.stringify(claim('claim-1'));
    await client.query('begin');
    // Other entities than the small ones: `seq` follows commits only where writers take turns.
    await client.query(
      `insert into event_runtime.outbox (event_id, tenant_id, event_type, entity_key, source_service, payload)
       select event_runtime.uuid_v7(), '${tenant}', 'claim.approved', 'huge-' || i % 10000, 'bench', '${payload}'
         from generate_series(1, ${options.events}) i`,
    );
    await emitSteadily(site.url, beside);
    const committed = performance.now();
    await client.query('commit');
    const expected = options.events + beside.perSecond * beside.seconds;
    let mostMemory = 0;
    const arrived = await product.until((scrape) => {
      mostMemory = Math.max(mostMemory, scrape.value('process_resident_memory_bytes') / 1e6);
      return scrape.value('event_runtime_sink_delivered_total', { sink: 'file' }) >= expected;
    }, 200);
    // What should not come needs a moment to come.
    await sleep(2_000);
    return {
      seconds: (arrived.at - committed) / 1_000,
      mostMemory,
      ...(await verdictOn(path, expected)),
    };
  } finally {
    await client.end();
    await rm(folder, { recursive: true, force: true });
  }
}
