import { inTurns } from '../measure/in-turns.ts';
import { readWithPgRecvlogical } from '../relay/pg-recvlogical.ts';
import type { RelaySite } from '../relay/site.ts';
import {
  beginInTheWal,
  type Load,
  measureCatchUp,
  measureWal,
  type Pace,
  readOn,
  type SinkConfiguration,
} from '../relay/throughput.ts';
import { BareProcess, type BareResult } from './bare-process.ts';
import { makeBareStream, startNats, streams, subjects } from './nats-site.ts';
import { judgeStream } from './stream-verdict.ts';

const slots = { bare: 'bench_bare', recvlogical: 'bench_reference' } as const;

/** Messages without an acknowledgement, at most: with more or fewer it is not faster. */
export const bareInFlight = 2_000;

/** Of one WAL: the product, the bare publisher, and `pg_recvlogical` into nothing. */
export interface JetStreamPaces {
  readonly product: Pace;
  readonly bare: BareResult;
  /** Rows a second. */
  readonly recvlogical: number;
}

/** A sink as a user has it, with all defaults. */
export function natsSink(url: string): SinkConfiguration {
  return { type: 'nats', name: 'nats', servers: [url], stream: { name: streams.product } };
}

/** The same WAL into a stream by each side, in turns; every event is looked for in every stream. @throws when one is amiss */
export async function measureJetStream(
  site: RelaySite,
  options: { readonly port: number; readonly load: Load; readonly run: number },
): Promise<JetStreamPaces> {
  const { port, load, run } = options;
  await using nats = await startNats();
  const at = { port, into: natsSink(nats.url) };
  await beginInTheWal(site, at);
  const after = await lastSeq(site);
  for (const slot of Object.values(slots)) {
    await site.sql.query(`select pg_create_logical_replication_slot('${slot}', 'pgoutput')`);
  }
  try {
    const endLsn = await site.load(load);
    const [product, bare, recvlogical] = await inTurns(run, [
      async () => await readOn(site, { ...at, events: load.events }),
      async () => await readBare(site, { events: load.events, after }),
      async () =>
        load.events / (await readWithPgRecvlogical({ url: site.url, slot: slots.recvlogical, endLsn })),
    ]);
    await judgeStream(site, { url: nats.url, stream: streams.product, after: 0 });
    return { product, bare, recvlogical };
  } finally {
    for (const slot of Object.values(slots)) {
      await site.sql.query(`select pg_drop_replication_slot('${slot}')`);
    }
  }
}

/** The product alone, into a stream: from the WAL, or from the table after its sink was paused. @throws when an event is amiss */
export async function measureInto(
  site: RelaySite,
  options: { readonly port: number; readonly load: Load; readonly source: 'wal' | 'table' },
): Promise<Pace> {
  const { port, load, source } = options;
  await using nats = await startNats();
  const at = { port, into: natsSink(nats.url), load };
  const pace = source === 'wal' ? await measureWal(site, at) : await measureCatchUp(site, at);
  await judgeStream(site, { url: nats.url, stream: streams.product, after: 0 });
  return pace;
}

async function readBare(
  site: RelaySite,
  { events, after }: { readonly events: number; readonly after: number },
): Promise<BareResult> {
  await using nats = await startNats();
  await makeBareStream(nats.url);
  await using bare = await BareProcess.start({
    databaseUrl: site.url,
    slot: slots.bare,
    natsUrl: nats.url,
    stream: streams.bare,
    subjects: subjects.bare,
    events,
    mostInFlight: bareInFlight,
  });
  const result = await bare.result();
  await judgeStream(site, { url: nats.url, stream: streams.bare, after });
  return result;
}

async function lastSeq(site: RelaySite): Promise<number> {
  const { rows } = await site.sql.query<{ seq: string }>(
    'select coalesce(max(seq), 0)::text as seq from event_runtime.outbox',
  );
  return Number(rows[0]?.seq);
}
