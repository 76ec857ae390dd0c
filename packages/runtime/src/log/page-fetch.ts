import type { ClientBase, Pool, QueryArrayResult } from 'pg';
import type { LoggedEvent } from './outbox-event.ts';
import {
  betweenSnapshots,
  bySeq,
  byTransaction,
  foundColumn,
  type PageLimits,
  pageOf,
  type Shard,
  type Stretch,
} from './table-page.ts';
import type { AdoptedRange, BatchRange } from './table-reader.ts';
import { type TableRow, toLoggedEvent } from './table-row.ts';
import { type Bounds, ticksFrom } from './tick.ts';

/** The rows behind a `seq`, as many as a page holds. Empty: there are none, and `more` is false. */
export type PageFetch = (after: bigint) => Promise<FetchedPage>;

export interface FetchedPage {
  readonly events: readonly LoggedEvent[];
  /** Whether there may be more behind them. */
  readonly more: boolean;
}

interface Where {
  readonly pool: Pool;
  readonly shard: Shard | undefined;
  readonly limits: PageLimits;
}

const nothing: FetchedPage = { events: [], more: false };

/**
 * Events of the first page of a batch that ends now; each further page has four times as many, up to the limit. What
 * comes first has waited longest, and need not wait for what came last to be read, too.
 */
const firstEvents = 100;
const growth = 4;

/** What tells where the rows of a batch are. */
interface Batch {
  readonly batch: BatchRange;
  /** What the ticks say of the events that `batch.from` does not see. */
  readonly bounds: () => Promise<Bounds>;
  /** What is known of the moment of `batch.to`; undefined: nothing, it was a while ago. */
  readonly edge: Edge | undefined;
}

/** Where the rows end that a snapshot sees; found after the snapshot was taken. */
export interface Edge {
  /** None has a higher `seq`. */
  readonly ceiling: bigint;
  /** None was recorded then or later, ISO 8601. Null: not known. */
  readonly before: string | null;
}

/** The pages of a batch. */
export function batchPages(options: Where & Batch): PageFetch {
  const { batch, limits, edge } = options;
  let plan: Promise<BatchPlan> | undefined;
  let events = edge === undefined ? limits.events : firstEvents;
  return async (after) => {
    if (batch.from.covers(batch.to)) return nothing;
    const page = { ...options, limits: { ...limits, events: Math.min(events, limits.events) } };
    events *= growth;
    plan ??= planBatch(options);
    const found = await plan;
    const from = after > batch.floorSeq ? after : batch.floorSeq;
    const early = await earlyPage(page, { plan: found, after: from });
    if (early.events.length > 0) return early;
    return await latePage(page, { plan: found, after: from });
  };
}

/** So many numbers are looked through by one statement, however little there is to be read. */
const adoptedStretch = 1_000_000n;

/** The pages of what was adopted. */
export function adoptedPages(options: Where & { readonly range: AdoptedRange }): PageFetch {
  const { shard, range } = options;
  const where = `(not pg_visible_in_snapshot(o.tx_id, '${range.snapshot.toString()}') or o.recorded_at > '${range.since}')`;
  return async (after) => {
    for (let from = after; from < range.floorSeq; ) {
      const end = from + adoptedStretch;
      const upTo = end < range.floorSeq ? end : range.floorSeq;
      const stretch: Stretch = { after: from, upTo, since: null, before: null };
      const { events, more } = await fetchPage(options, bySeq(stretch, { where, shard }));
      if (events.length > 0) return { events, more: more || upTo < range.floorSeq };
      from = upTo;
    }
    return nothing;
  };
}

/** The pages of a stretch, whatever transactions its rows are of. On a client of its own, or a pool. */
export function stretchPages(options: {
  readonly client: Pick<ClientBase | Pool, 'query'>;
  readonly limits: PageLimits;
  readonly stretch: Omit<Stretch, 'after'>;
  /** A condition on the row `o`, as SQL. Default: all. */
  readonly where?: string;
  readonly shard?: Shard | undefined;
}): PageFetch {
  const { client, limits, stretch, where = 'true', shard } = options;
  return async (after) => {
    return await fetchPage({ pool: client, limits }, bySeq({ ...stretch, after }, { where, shard }));
  };
}

/**
 * Where the rows of a batch are: in two stretches, one after the other in the order of `seq`.
 *
 * - up to `later.seq`: only rows of `open`, the few transactions that were open at the beginning of the batch and are
 *   not at its end;
 * - behind: every row that the first snapshot does not see and the second one does.
 */
interface BatchPlan {
  readonly bounds: Bounds;
  readonly open: readonly bigint[];
  readonly edge: Edge;
}

const dayMs = 86_400_000;
const hourMs = 3_600_000;

async function planBatch({
  pool,
  batch: { from, to },
  bounds: known,
  edge,
}: Where & Batch): Promise<BatchPlan> {
  const bounds = await known();
  const open = [...from.open].filter((xid) => to.sees(xid));
  if (edge !== undefined) return { bounds, open, edge };
  const [covering, present] = await Promise.all([
    ticksFrom(pool, { xid: to.xmax, since: bounds.later.since }),
    pool.query<EdgeRow>(`select ${edgeColumns()}`),
  ]);
  const latest = toEdge(present.rows[0]);
  const ceiling = covering.find((each) => each.snapshot.covers(to))?.ceiling ?? latest.ceiling;
  return { bounds, open, edge: { ceiling, before: latest.before } };
}

/** What {@link edgeColumns} select. */
export interface EdgeRow {
  readonly drawn: string;
  readonly before: string | null;
}

/**
 * For a statement that runs under the snapshot in question, or a later one. The day is one that has not begun, for all
 * we know. It need not be right: the question is asked of the table. It keeps pages away from partitions that lie years
 * ahead.
 */
export function edgeColumns(): string {
  const tomorrow = new Date(Math.ceil((Date.now() + hourMs) / dayMs) * dayMs).toISOString();
  return `(select case when s.is_called then s.last_value else 0 end::text from event_runtime.outbox_seq_seq s) as drawn,
          case when not exists (select from event_runtime.outbox o where o.recorded_at >= '${tomorrow}')
               then '${tomorrow}' end as before`;
}

export function toEdge(row: EdgeRow | undefined): Edge {
  if (row === undefined) throw new TypeError('the server gave no row');
  return { ceiling: BigInt(row.drawn), before: row.before };
}

interface At {
  readonly plan: BatchPlan;
  readonly after: bigint;
}

async function earlyPage(options: Where, { plan, after }: At): Promise<FetchedPage> {
  const { bounds, open, edge } = plan;
  const upTo = bounds.later.seq;
  if (open.length === 0 || after >= upTo) return nothing;
  const { shard, limits } = options;
  // Not a whole page of each transaction, where there are many of them.
  const each = Math.max(20, Math.ceil((2 * limits.events) / open.length));
  const { seq, since } = bounds.unseen;
  const stretch = { after: after > seq ? after : seq, upTo, since, before: edge.before, txIds: open };
  const page = await fetchPage(options, byTransaction(stretch, { each, shard }));
  const { events } = page;
  const complete = completePart(events, each);
  // Behind the last row come those of the second stretch.
  return { events: complete === undefined ? events : events.slice(0, complete), more: true };
}

/** How many of the rows are surely followed by no row that is missing; undefined: all of them. */
function completePart(events: readonly LoggedEvent[], each: number): number | undefined {
  const counts = new Map<bigint, number>();
  for (const [index, { txId }] of events.entries()) {
    const count = (counts.get(txId) ?? 0) + 1;
    counts.set(txId, count);
    if (count === each) return index + 1;
  }
  return undefined;
}

async function latePage(
  options: Where & { readonly batch: BatchRange },
  { plan, after }: At,
): Promise<FetchedPage> {
  const { seq, since } = plan.bounds.later;
  const { ceiling, before } = plan.edge;
  const { shard, batch } = options;
  const stretch: Stretch = { after: after > seq ? after : seq, upTo: ceiling, since, before };
  const where = betweenSnapshots(batch.from, batch.to);
  return await fetchPage(options, bySeq(stretch, { where, shard }));
}

async function fetchPage(
  { pool, limits }: { readonly pool: Pick<ClientBase | Pool, 'query'>; readonly limits: PageLimits },
  source: string,
): Promise<FetchedPage> {
  // A message of several statements has several results; the types of pg know of one.
  const results = (await pool.query({
    text: pageOf(source, limits),
    rowMode: 'array',
    types: asText,
  })) as unknown as readonly QueryArrayResult<[...TableRow]>[];
  const rows = results.at(-1)?.rows ?? [];
  const capturedAt = performance.timeOrigin + performance.now();
  const found = Number(rows[0]?.[foundColumn] ?? 0);
  return {
    events: rows.map((row) => toLoggedEvent(row, capturedAt)),
    more: found === limits.events || rows.length < found,
  };
}

/** No value is parsed: the bytes of a payload are what matters. */
const asText = { getTypeParser: () => (text: string) => text };
