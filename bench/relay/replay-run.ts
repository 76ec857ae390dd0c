import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createReplay, getReplay, type Replay, readFileSink } from '@event-runtime/runtime';
import { percentile, readLines } from './latency.ts';
import { Product } from './product.ts';
import type { RelaySite } from './site.ts';
import { emitSteadily } from './steady-emit.ts';

/** What a replay beside live events was like. */
export interface ReplayRun {
  /** Milliseconds, of the live events of the sink that is replayed into; and without a replay, before and after it. */
  readonly p99: number;
  readonly p50: number;
  readonly referenceP99: number;
  readonly referenceP50: number;
  /** Events a second of the replay, while nobody killed anything. */
  readonly perSecond: number;
  /** Of the events that were selected: those that did not come once more. */
  readonly lost: number;
  /** Events that came once more and were not selected. */
  readonly phantom: number;
  /** Events that came after a later one of their entity, by the first time that each came. */
  readonly reordered: number;
  /** Lines beyond one for each event, after the kill. */
  readonly repeated: number;
  /** By how much the job's own count is wrong. */
  readonly miscounted: number;
}

export interface ReplayRunOptions {
  readonly port: number;
  /** In the outbox; a tenth of them, in the middle, is replayed. */
  readonly events: number;
  /** Events a second, of the replay. */
  readonly rate: number;
  /** Events a second that are emitted meanwhile. */
  readonly livePerSecond: number;
  readonly progress: (line: string) => void;
}

const perTransaction = 10;

/** What share of the replay is left when the relay is killed. */
const leftAtKill = 0.2;

/** A tenth of all events is handed to a sink once more while it is fed live ones; the relay is killed on the way. */
export async function measureReplay(site: RelaySite, options: ReplayRunOptions): Promise<ReplayRun> {
  const { events, rate, livePerSecond, port, progress } = options;
  const folder = await mkdtemp(join(tmpdir(), 'event-runtime-bench-'));
  const path = join(folder, 'live.ndjson');
  const configuration = { sinks: [{ type: 'file', name: 'live', path }] };
  const start = async (): Promise<Product> =>
    await Product.start({ databaseUrl: site.url, port, configuration });
  const selected = events / 10;
  const seconds = (selected * (1 - leftAtKill)) / rate;
  await site.clear();
  try {
    const span = await load(site, { events, selected });
    progress(`the sink takes ${events} events`);
    await using first = await start();
    await first.until(
      (scrape) => scrape.value('event_runtime_sink_delivered_total', { sink: 'live' }) >= events,
      200,
    );
    await first.live('live');
    const live = async (part: number): Promise<readonly number[]> => {
      const { size } = await stat(path);
      const reading = readLines(path, livePerSecond * part, { after: size, counts: isLive });
      await emitSteadily(site.url, { perSecond: livePerSecond, seconds: part, perTransaction, keys: 'many' });
      return (await reading).latencies;
    };
    progress(`${livePerSecond} events a second, without a replay`);
    const before = await live(seconds / 2);
    const job = await createReplay(site.sql, {
      ...{ relay: 'event_runtime', sink: 'live', eventsPerSecond: rate },
      selection: span,
    });
    progress(`${livePerSecond} events a second, ${job.total} are replayed beside them, ${rate} a second`);
    const began = performance.now();
    const beside = await live(seconds);
    const { delivered } = await getReplay(site.sql, job);
    const perSecond = delivered / ((performance.now() - began) / 1_000);
    progress(`killed after ${delivered} events of the replay`);
    await first.kill();
    await using second = await start();
    const done = await over(site, job);
    await second.live('live');
    progress(`${livePerSecond} events a second, without a replay`);
    const reference = [...before, ...(await live(seconds / 2))];
    const wanted = await idsOf(site, span);
    return {
      p99: percentile(beside, 0.99),
      p50: percentile(beside, 0.5),
      referenceP99: percentile(reference, 0.99),
      referenceP50: percentile(reference, 0.5),
      perSecond,
      ...(await verdictOn(path, { job, wanted })),
      miscounted: Math.abs(done.delivered - wanted.size) + Math.abs(done.total - wanted.size) + done.rejected,
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Span {
  readonly from: string;
  readonly before: string;
}

async function load(
  site: RelaySite,
  { events, selected }: { readonly events: number; readonly selected: number },
): Promise<Span> {
  const now = async (): Promise<string> => {
    const { rows } = await site.sql.query<{ at: string }>(
      `select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at`,
    );
    return rows[0]?.at ?? '';
  };
  const rest = { events: (events - selected) / 2, perTransaction: 100, keys: 'many' } as const;
  await site.load(rest);
  const from = await now();
  await site.load({ ...rest, events: selected });
  const before = await now();
  await site.load(rest);
  return { from, before };
}

async function idsOf(site: RelaySite, { from, before }: Span): Promise<ReadonlySet<string>> {
  const { rows } = await site.sql.query<{ id: string }>(
    'select event_id as id from event_runtime.outbox where recorded_at >= $1 and recorded_at < $2',
    [from, before],
  );
  return new Set(rows.map(({ id }) => id));
}

function isLive(line: string): boolean {
  return !line.includes('"replay":"');
}

async function over(site: RelaySite, job: Replay): Promise<Replay> {
  for (;;) {
    const replay = await getReplay(site.sql, job);
    if (replay.state === 'done') return replay;
    await sleep(200);
  }
}

async function verdictOn(
  path: string,
  { job, wanted }: { readonly job: Replay; readonly wanted: ReadonlySet<string> },
): Promise<Pick<ReplayRun, 'lost' | 'phantom' | 'reordered' | 'repeated'>> {
  const seen = new Set<string>();
  const last = new Map<string, bigint>();
  let [reordered, repeated, phantom] = [0, 0, 0];
  for await (const { attributes } of readFileSink(path)) {
    const { id = '', seq = '0', entitykey: entity = '', replay } = attributes;
    if (replay !== job.id) continue;
    if (!wanted.has(id)) phantom += 1;
    if (seen.has(id)) {
      repeated += 1;
      continue;
    }
    seen.add(id);
    if (BigInt(seq) < (last.get(entity) ?? 0n)) reordered += 1;
    last.set(entity, BigInt(seq));
  }
  return { lost: wanted.size - (seen.size - phantom), phantom, reordered, repeated };
}
