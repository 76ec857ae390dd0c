import { setTimeout as sleep } from 'node:timers/promises';
import type { Verdict } from './arrival-verdict.ts';
import { percentile } from './latency.ts';
import { Product, type ProductOptions, type Scrape } from './product.ts';
import type { RelaySite } from './site.ts';
import { emitSteadily } from './steady-emit.ts';

export interface StoppedSink extends Verdict {
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
}

export interface StoppedSinkOptions {
  readonly port: number;
  readonly events: number;
  readonly perSecond: number;
  /** False: both sinks work, for a reference. */
  readonly stopped: boolean;
  readonly progress: (line: string) => void;
}

/** A sink that is watched, and one beside it that stands still. Made for one run. */
export interface SinkPair extends AsyncDisposable {
  readonly live: string;
  readonly other: string;
  readonly product: Pick<ProductOptions, 'configuration' | 'env'>;
  /** Events that both must have before the other one stops. */
  readonly before: number;
  /** From now on the other one takes nothing. Called before there are events beyond those. */
  stop(): Promise<void>;
  /** It takes what comes. */
  resume(): Promise<void>;
  /** Milliseconds of so many events on their way to the live one, in the order in which they came. */
  latencies(events: number): Promise<readonly number[]>;
  /** What the other one has. */
  verdict(events: number): Promise<Verdict>;
}

const perTransaction = 10;
const parts = 4;

/** One of two sinks stands still for the whole run; then it goes on. */
export async function measureStoppedSink(
  site: RelaySite,
  pair: SinkPair,
  options: StoppedSinkOptions,
): Promise<StoppedSink> {
  const { port, perSecond, stopped, progress } = options;
  const { live, other, before } = pair;
  await site.clear();
  await using product = await Product.start({ databaseUrl: site.url, port, ...pair.product });
  await product.live(live);
  const events = before + options.events;
  const reading = pair.latencies(events);
  const emit = async (seconds: number): Promise<void> => {
    await emitSteadily(site.url, { perSecond, seconds, perTransaction, keys: 'many' });
  };
  const got = (scrape: Scrape): number => scrape.value('event_runtime_sink_delivered_total', { sink: other });
  const otherHas = async (count: number): Promise<void> => {
    await product.until((scrape) => got(scrape) >= count, 100);
  };
  await emit(before / perSecond);
  await otherHas(before);
  if (stopped) await pair.stop();
  const watch = watchSlot(site, product);
  progress(
    `${options.events} events, ${perSecond} a second, ${stopped ? 'one sink stopped' : 'both sinks work'}`,
  );
  await emit(options.events / perSecond);
  const latencies = (await reading).slice(before);
  const most = await watch.end();
  const meanwhile = got(await product.until(() => true)) - before;
  if (stopped && meanwhile > 0) throw new Error(`the sink that was to stand still got ${meanwhile} events`);
  progress('the other sink goes on');
  const began = performance.now();
  if (stopped) await pair.resume();
  await otherHas(events);
  const caughtUpIn = (performance.now() - began) / 1_000;
  const part = Math.ceil(latencies.length / parts);
  return {
    p99OfParts: Array.from({ length: parts }, (_, index) =>
      percentile(latencies.slice(index * part, (index + 1) * part), 0.99),
    ),
    ...most,
    caughtUpIn,
    ...(await pair.verdict(events)),
  };
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
      // Also notices that the relay has lost its lease.
      const memory = (await product.until(() => true)).value('process_resident_memory_bytes');
      most.mostUnconfirmed = Math.max(most.mostUnconfirmed, Number(rows[0]?.unconfirmed ?? 0) / 1e6);
      most.mostKept = Math.max(most.mostKept, Number(rows[0]?.kept ?? 0) / 1e6);
      most.mostMemory = Math.max(most.mostMemory, memory / 1e6);
      await sleep(500);
    }
  })();
  // Said at the end.
  watching.catch(() => undefined);
  return {
    async end() {
      over.abort();
      await watching;
      return most;
    },
  };
}
