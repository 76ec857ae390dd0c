import { countNatsMessages } from '@event-runtime/runtime/testing';
import { type Memory, type MemoryOptions, measureMemory } from '../relay/memory.ts';
import type { RelaySite } from '../relay/site.ts';
import type { Load, Pace } from '../relay/throughput.ts';
import {
  type JetStreamLatency,
  type JetStreamLatencyOptions,
  measureJetStreamLatency,
} from './jetstream-latency.ts';
import { type JetStreamPaces, measureInto, measureJetStream, natsSink } from './jetstream-throughput.ts';
import { startNats, streams } from './nats-site.ts';

/** What is measured once, for the experiments to repeat and to compare. */
export interface JetStreamMeasures {
  /** Of one WAL, by three readers. @param run from 0; every second one the other way round */
  paces(load: Load, run: number): Promise<JetStreamPaces>;
  /** By the product alone. */
  into(load: Load, source: 'wal' | 'table'): Promise<Pace>;
  latency(options: Omit<JetStreamLatencyOptions, 'port'>): Promise<JetStreamLatency>;
  memory(options: Omit<MemoryOptions, 'port' | 'progress' | 'into'>): Promise<Memory>;
}

/** The measurements on a site. @param options.port of the product */
export function jetStreamMeasuresOn(
  site: RelaySite,
  { port, progress }: { readonly port: number; readonly progress: (line: string) => void },
): JetStreamMeasures {
  return {
    paces: async (load, run) => await measureJetStream(site, { port, load, run }),
    into: async (load, source) => await measureInto(site, { port, load, source }),
    latency: async (options) => await measureJetStreamLatency(site, { ...options, port }),
    memory: async (options) => await measureMemoryInto(site, { ...options, port, progress }),
  };
}

/** As {@link measureMemory}, its live sink a stream. @throws when that has not each event once, by their number */
async function measureMemoryInto(site: RelaySite, options: Omit<MemoryOptions, 'into'>): Promise<Memory> {
  await using nats = await startNats();
  const memory = await measureMemory(site, { ...options, into: natsSink(nats.url) });
  const events = options.backlog + 2 * options.perSecond * options.seconds;
  const messages = await countNatsMessages([nats.url], streams.product);
  if (messages === events) return memory;
  throw new Error(`stream ${streams.product} has ${messages} messages for ${events} events`);
}
