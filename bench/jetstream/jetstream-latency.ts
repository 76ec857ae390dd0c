import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { percentile } from '../relay/latency.ts';
import { Product } from '../relay/product.ts';
import type { RelaySite } from '../relay/site.ts';
import { BareProcess } from './bare-process.ts';
import { bareInFlight, natsSink } from './jetstream-throughput.ts';
import { makeBareStream, startNats, streams, subjects } from './nats-site.ts';
import { writeSteadily } from './steady-rows.ts';
import { judgeStream } from './stream-verdict.ts';

export interface JetStreamLatency {
  /** Milliseconds from the commit to the message's time in the stream. */
  readonly p50: number;
  readonly p99: number;
  /** Transactions a second that the writers came to. */
  readonly written: number;
  /** Milliseconds from the message's time in the stream until its publisher had the acknowledgement; of the bare one only. */
  readonly acknowledgement: { readonly p50: number; readonly p99: number } | undefined;
}

export interface JetStreamLatencyOptions {
  readonly side: 'product' | 'bare';
  readonly port: number;
  readonly perSecond: number;
  /** Of what counts; two more come before. */
  readonly seconds: number;
}

const warmUpSeconds = 2;
const slot = 'bench_bare';

/**
 * Single-row transactions at a steady rate. Both times are written down by those who know them, on one machine by one
 * clock: the commit's by PostgreSQL in its commit record, the message's by nats-server when it stores it.
 *
 * @throws when an event is lost, there twice or out of order
 */
export async function measureJetStreamLatency(
  site: RelaySite,
  options: JetStreamLatencyOptions,
): Promise<JetStreamLatency> {
  const { side, perSecond } = options;
  const rate = { perSecond, seconds: warmUpSeconds + options.seconds };
  await site.clear();
  await using nats = await startNats();
  const ran =
    side === 'bare'
      ? await runBare(site, { natsUrl: nats.url, rate })
      : await runProduct(site, { natsUrl: nats.url, rate, port: options.port });
  const commits = await commitTimes(site);
  const delays: number[] = [];
  const acknowledgements: number[] = [];
  const begin = [...commits.values()].reduce((a, b) => Math.min(a, b)) + warmUpSeconds * 1e6;
  await judgeStream(site, {
    url: nats.url,
    stream: streams[side],
    after: 0,
    each: ({ id, storedAt, streamSeq }) => {
      const committedAt = commits.get(id) ?? Number.NaN;
      if (committedAt < begin) return;
      delays.push((storedAt - committedAt) / 1_000);
      const at = ran.times?.[streamSeq];
      if (at !== undefined) acknowledgements.push(at - storedAt / 1_000);
    },
  });
  return {
    p50: percentile(delays, 0.5),
    p99: percentile(delays, 0.99),
    written: ran.written,
    acknowledgement:
      side === 'product'
        ? undefined
        : { p50: percentile(acknowledgements, 0.5), p99: percentile(acknowledgements, 0.99) },
  };
}

interface Ran {
  readonly written: number;
  /** By the sequence in the stream: milliseconds since 1970. */
  readonly times?: Float64Array;
}

interface Run {
  readonly natsUrl: string;
  readonly rate: { readonly perSecond: number; readonly seconds: number };
}

async function runProduct(
  site: RelaySite,
  { natsUrl, rate, port }: Run & { readonly port: number },
): Promise<Ran> {
  const into = natsSink(natsUrl);
  await using product = await Product.start({
    databaseUrl: site.url,
    port,
    configuration: { sinks: [into] },
  });
  await product.live(into.name);
  const written = await writeSteadily(site.url, rate);
  const events = rate.perSecond * rate.seconds;
  await product.until(
    (scrape) => scrape.value('event_runtime_sink_delivered_total', { sink: into.name }) >= events,
  );
  return { written };
}

async function runBare(site: RelaySite, { natsUrl, rate }: Run): Promise<Ran> {
  const folder = await mkdtemp(join(tmpdir(), 'event-runtime-bench-'));
  const acknowledgements = join(folder, 'acknowledged-at');
  await makeBareStream(natsUrl);
  try {
    await using bare = await BareProcess.start({
      databaseUrl: site.url,
      slot,
      temporarySlot: true,
      natsUrl,
      stream: streams.bare,
      subjects: subjects.bare,
      events: rate.perSecond * rate.seconds,
      mostInFlight: bareInFlight,
      acknowledgements,
    });
    const written = await writeSteadily(site.url, rate);
    await bare.result();
    const bytes = await readFile(acknowledgements);
    return { written, times: new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Of each event, by its id: microseconds since 1970 in its transaction's commit record, written before that is on the disk. */
async function commitTimes(site: RelaySite): Promise<ReadonlyMap<string, number>> {
  const { rows } = await site.sql.query<{ id: string; at: string }>(
    `select event_id::text as id, (extract(epoch from pg_xact_commit_timestamp(tx_id::xid)) * 1e6)::bigint::text as at
       from event_runtime.outbox`,
  );
  return new Map(rows.map(({ id, at }) => [id, Number(at)]));
}
