import { type Latency, type LatencyOptions, measureLatency } from './latency.ts';
import { type Memory, type MemoryOptions, measureMemory } from './memory.ts';
import type { RelaySite } from './site.ts';
import { type Load, measureCatchUp, measureThroughput, measureWal, nullSink } from './throughput.ts';

/** What is measured once, for the experiments to repeat and to compare. */
export interface RelayMeasures {
  /** Rows a second of the WAL into nothing: the product, and `pg_recvlogical`. */
  throughput(load: Load, productFirst: boolean): Promise<readonly [product: number, reference: number]>;
  /** Rows a second of the WAL into nothing: the product alone. */
  wal(load: Load): Promise<number>;
  /** Rows a second of the table into nothing. */
  catchUp(load: Load): Promise<number>;
  latency(options: Omit<LatencyOptions, 'port'>): Promise<Latency>;
  memory(options: Omit<MemoryOptions, 'port' | 'progress'>): Promise<Memory>;
}

/** The measurements on a site. @param options.port of the product */
export function measuresOn(
  site: RelaySite,
  { port, progress }: { readonly port: number; readonly progress: (line: string) => void },
): RelayMeasures {
  return {
    throughput: async (load, productFirst) => await measureThroughput(site, { port, load, productFirst }),
    wal: async (load) => (await measureWal(site, { port, into: nullSink, load })).perSecond,
    catchUp: async (load) => (await measureCatchUp(site, { port, into: nullSink, load })).perSecond,
    latency: async (options) => await measureLatency(site, { ...options, port }),
    memory: async (options) => await measureMemory(site, { ...options, port, progress }),
  };
}
