import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readFileSink } from '@event-runtime/runtime';
import { percentile, readLines } from './latency.ts';
import { Product } from './product.ts';
import type { RelaySite } from './site.ts';
import { emitSteadily } from './steady-emit.ts';

export interface StoppedSink {
  /** Milliseconds, of the live sink; the parts of the run one after another. */
  readonly p99OfParts: readonly number[];
  /** The most WAL that was not confirmed while the other sink stood still. MB. */
  readonly mostUnconfirmed: number;
  /** The most WAL that was kept on the disk for the slot. MB. */
  readonly mostKept: number;
  /** The largest resident memory of the relay. MB. */
  readonly mostMemory: number;
  /** Seconds that the stopped sink took for all of it, once it went on. */
  readonly caughtUpIn: number;
  /** Of the stopped sink, when it had caught up: events that it had not got, and that came after a later one of their entity. */
  readonly lost: number;
  readonly reordered: number;
  /** Lines beyond one for each event: no fault. */
  readonly duplicates: number;
}

export interface StoppedSinkOptions {
  readonly port: number;
  readonly events: number;
  readonly perSecond: number;
  /** False: both sinks work, for a reference. */
  readonly stopped: boolean;
  readonly progress: (line: string) => void;
}

const perTransaction = 10;
const parts = 4;

/** Two file sinks, one of which cannot be opened for the whole run; then it can. */
export async function measureStoppedSink(site: RelaySite, options: StoppedSinkOptions): Promise<StoppedSink> {
  const { events, perSecond, stopped, progress } = options;
  const folder = await mkdtemp(join(tmpdir(), 'event-runtime-bench-'));
  const path = join(folder, 'live.ndjson');
  const other = join(folder, 'later', 'events.ndjson');
  if (!stopped) await mkdir(dirname(other));
  await site.clear();
  try {
    await using product = await Product.start({
      databaseUrl: site.url,
      port: options.port,
      configuration: {
        sinks: [
          { type: 'file', name: 'live', path },
          { type: 'file', name: 'other', path: other },
        ],
      },
    });
    await product.live('live');
    const watch = watchSlot(site, product);
    const reading = readLines(path, events);
    progress(`${events} events, ${perSecond} a second, ${stopped ? 'one sink stopped' : 'both sinks work'}`);
    await emitSteadily(site.url, { perSecond, seconds: events / perSecond, perTransaction, keys: 'many' });
    const { latencies } = await reading;
    const most = await watch.end();
    progress('the other sink goes on');
    const began = performance.now();
    if (stopped) await mkdir(dirname(other));
    await product.until(
      (scrape) => scrape.value('event_runtime_sink_delivered_total', { sink: 'other' }) >= events,
      100,
    );
    const caughtUpIn = (performance.now() - began) / 1_000;
    const part = Math.ceil(latencies.length / parts);
    return {
      p99OfParts: Array.from({ length: parts }, (_, index) =>
        percentile(latencies.slice(index * part, (index + 1) * part), 0.99),
      ),
      ...most,
      caughtUpIn,
      ...(await verdictOn(other, events)),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Looks at the slot and at the process twice a second. */
function watchSlot(
  site: RelaySite,
  product: Product,
): {
  end(): Promise<Pick<StoppedSink, 'mostUnconfirmed' | 'mostKept' | 'mostMemory'>>;
} {
  const most = { mostUnconfirmed: 0, mostKept: 0, mostMemory: 0 };
  const over = new AbortController();
  const watching = (async () => {
    while (!over.signal.aborted) {
      const { rows } = await site.sql.query<{ unconfirmed: string; kept: string }>(
        `select (pg_current_wal_lsn() - confirmed_flush_lsn)::text as unconfirmed,
                (pg_current_wal_lsn() - restart_lsn)::text as kept from pg_replication_slots`,
      );
      const memory = (await product.scrape())?.value('process_resident_memory_bytes') ?? 0;
      most.mostUnconfirmed = Math.max(most.mostUnconfirmed, Number(rows[0]?.unconfirmed ?? 0) / 1e6);
      most.mostKept = Math.max(most.mostKept, Number(rows[0]?.kept ?? 0) / 1e6);
      most.mostMemory = Math.max(most.mostMemory, memory / 1e6);
      await sleep(500);
    }
  })();
  return {
    async end() {
      over.abort();
      await watching;
      return most;
    },
  };
}

/** Every event, by its own number in the database: at least once, and in the order of its entity when it comes first. */
export async function verdictOn(
  path: string,
  events: number,
): Promise<Pick<StoppedSink, 'lost' | 'reordered' | 'duplicates'>> {
  const seen = new Set<string>();
  const last = new Map<string, bigint>();
  let [reordered, duplicates] = [0, 0];
  for await (const { attributes } of readFileSink(path)) {
    const { id = '', seq = '0', entitykey: entity = '' } = attributes;
    if (seen.has(id)) {
      duplicates += 1;
      continue;
    }
    seen.add(id);
    if (BigInt(seq) < (last.get(entity) ?? 0n)) reordered += 1;
    last.set(entity, BigInt(seq));
  }
  return { lost: events - seen.size, reordered, duplicates };
}
