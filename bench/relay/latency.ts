import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Product } from './product.ts';
import type { Keys, RelaySite } from './site.ts';
import { emitSteadily } from './steady-emit.ts';

export interface LatencyOptions {
  readonly port: number;
  readonly source: 'wal' | 'table';
  readonly perSecond: number;
  readonly seconds: number;
  readonly keys: Keys;
  /** A second sink that can never be opened. */
  readonly deadSink?: boolean;
}

export interface Latency {
  /** Milliseconds from the row's time to the line in the sink's file. */
  readonly p50: number;
  readonly p99: number;
  /** Events a second, until the last one was in the file. */
  readonly arrived: number;
  /** Events a second that the writers made of the rate they were asked for. */
  readonly emitted: number;
}

const perTransaction = 10;

/** A sink that polls and finds nothing looks less and less often; what it is late with then is no steady rate. */
const warmUpSeconds = 2;

/** Emits at a steady rate, and reads the file sink's lines as they come. Of the first two seconds the delays do not count. */
export async function measureLatency(site: RelaySite, options: LatencyOptions): Promise<Latency> {
  const folder = await mkdtemp(join(tmpdir(), 'event-runtime-bench-'));
  const path = join(folder, 'events.ndjson');
  const dead = { type: 'file', name: 'dead', path: join(folder, 'missing', 'events.ndjson') };
  const sinks = [{ type: 'file', name: 'file', path }, ...(options.deadSink === true ? [dead] : [])];
  await site.clear();
  try {
    await using product = await Product.start({
      databaseUrl: site.url,
      port: options.port,
      configuration: { sinks, relay: { source: options.source } },
    });
    if (options.source === 'wal') await product.live('file');
    else await product.until((scrape) => scrape.value('event_runtime_lease_held', { sink: 'file' }) === 1);
    const seconds = warmUpSeconds + options.seconds;
    const events = options.perSecond * seconds;
    const reading = readLines(path, events);
    const began = performance.now();
    await emitSteadily(site.url, { ...options, seconds, perTransaction });
    const emittedAt = performance.now();
    const arrived = await reading;
    const latencies = arrived.latencies.slice(options.perSecond * warmUpSeconds);
    return {
      p50: percentile(latencies, 0.5),
      p99: percentile(latencies, 0.99),
      arrived: events / ((arrived.lastAt - began) / 1_000),
      emitted: events / ((emittedAt - began) / 1_000),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The value below which a part of the values is; 0 where there are none. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

/**
 * Milliseconds from the row's time to its line in a file sink's file, for so many lines, in their order.
 *
 * @param options.after bytes at the beginning of the file that are left out; default none
 * @param options.counts whether a line is one of them; default: each is
 */
export async function readLines(
  path: string,
  events: number,
  options: { readonly after?: number; readonly counts?: (line: string) => boolean } = {},
): Promise<{ readonly latencies: readonly number[]; readonly lastAt: number }> {
  const latencies: number[] = [];
  const file = await open(path, 'a+');
  const buffer = Buffer.alloc(4 * 1_024 * 1_024);
  const { after = 0, counts = () => true } = options;
  let position = after;
  let rest = '';
  try {
    while (latencies.length < events) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
      const now = performance.timeOrigin + performance.now();
      position += bytesRead;
      const lines = (rest + buffer.toString('utf8', 0, bytesRead)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (counts(line)) latencies.push(now - timeOf(line));
      if (bytesRead === 0) await sleep(1);
    }
    return { latencies, lastAt: performance.now() };
  } finally {
    await file.close();
  }
}

/** Milliseconds from an event's `time` until now. */
export function millisecondsSince(time: string): number {
  return performance.timeOrigin + performance.now() - timeIn(time);
}

/** Milliseconds since 1970 of the attribute `time`, with its fraction. */
function timeOf(line: string): number {
  return timeIn(/"time":"([^"]+)"/.exec(line)?.[1] ?? '');
}

function timeIn(text: string): number {
  const fraction = /\.(\d+)Z$/.exec(text)?.[1] ?? '0';
  return Date.parse(`${text.slice(0, 19)}Z`) + Number(`0.${fraction}`) * 1_000;
}
