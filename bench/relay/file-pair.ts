import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { readFileSink } from '@event-runtime/runtime';
import { ArrivalVerdict, type Verdict } from './arrival-verdict.ts';
import { readLines } from './latency.ts';
import type { SinkPair } from './stopped-sink.ts';

/** Two file sinks, one of which cannot be opened until it is resumed. @param stopped false: it can from the beginning */
export async function filePair(stopped: boolean): Promise<SinkPair> {
  const folder = await mkdtemp(join(tmpdir(), 'event-runtime-bench-'));
  const path = join(folder, 'live.ndjson');
  const other = join(folder, 'later', 'events.ndjson');
  if (!stopped) await mkdir(dirname(other));
  return {
    live: 'live',
    other: 'other',
    product: {
      configuration: {
        sinks: [
          { type: 'file', name: 'live', path },
          { type: 'file', name: 'other', path: other },
        ],
      },
    },
    before: 0,
    stop: async () => undefined,
    resume: async () => {
      await mkdir(dirname(other));
    },
    latencies: async (events) => (await readLines(path, events)).latencies,
    verdict: async (events) => await verdictOn(other, events),
    [Symbol.asyncDispose]: async () => {
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** What a file sink has. */
export async function verdictOn(path: string, events: number): Promise<Verdict> {
  const verdict = new ArrivalVerdict();
  for await (const { attributes } of readFileSink(path)) verdict.add(attributes);
  return verdict.of(events);
}
