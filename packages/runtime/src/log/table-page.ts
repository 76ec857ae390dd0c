import type { Snapshot } from './snapshot.ts';
import { rowColumns } from './table-row.ts';

/** Which part of the entities is read: `index` of `count`. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** What bounds a page. */
export interface PageLimits {
  readonly events: number;
  readonly bytes: number;
}

/** A stretch of the outbox in the order of `seq`. All of it is written into the statement as literals. */
export interface Stretch {
  /** Exclusive. */
  readonly after: bigint;
  /** Inclusive; null: no end. */
  readonly upTo: bigint | null;
  /** Recorded at this time or later; null: no beginning. ISO 8601. */
  readonly since: string | null;
  /** Recorded before; null: no end. ISO 8601. */
  readonly before: string | null;
}

/**
 * Goes before each statement that reads the outbox, in the same message, hence in one transaction.
 *
 * The statements are written for the indexes; a planner without statistics, or with old ones, would sort a
 * transaction of a million rows for every page. And `recorded_at` is read as text.
 */
const settings = [
  'enable_seqscan = off',
  'enable_bitmapscan = off',
  'enable_sort = off',
  'enable_incremental_sort = off',
  'max_parallel_workers_per_gather = 0',
  'jit = off',
  "timezone = 'UTC'",
  "datestyle = 'ISO'",
].map((setting) => `set local ${setting};`);

/** One message of several statements. The rows are in the result of the last. */
export function withSettings(statement: string): string {
  return `${settings.join(' ')}\n${statement}`;
}

/** Columns behind {@link rowColumns}: how many rows there were before the page was cut to its bytes. */
export const foundColumn: number = rowColumns.length;

/** Rows from `source` in the order of `seq`, as many as the limits allow, but at least one. */
function cutToLimits(source: string, limits: PageLimits): string {
  const named = rowColumns.join(', ');
  return `select ${named}, found
  from (select ${named}, count(*) over () as found,
               row_number() over w as place, sum(size) over w as total
          from (${source} order by seq limit ${limits.events}) s
        window w as (order by seq rows unbounded preceding)) p
 where place = 1 or total <= ${limits.bytes}
 order by seq`;
}

/** Sizes as they will be in memory. Only what is stored compressed must be unpacked to know it. */
const size = `case when pg_column_compression(o.payload) is null then pg_column_size(o.payload)
      else octet_length(o.payload::text) end + coalesce(pg_column_size(o.headers), 0) as size`;

const columns = rowColumns.map((column) => `o.${column}`).join(', ');

/** What stands behind FROM for the rows of a stretch; the table is called `o`. */
export function outboxRows(
  stretch: Stretch,
  options: { readonly where: string; readonly shard: Shard | undefined },
): string {
  const { after, upTo } = stretch;
  const end = upTo === null ? '' : ` and o.seq <= ${upTo}`;
  return `event_runtime.outbox o
   where o.seq > ${after}${end} and ${options.where}${within(stretch)}${inShard(options.shard)}`;
}

/** Rows by the index on `seq`. */
export function bySeq(
  stretch: Stretch,
  options: { readonly where: string; readonly shard: Shard | undefined },
): string {
  return `select ${columns}, ${size} from ${outboxRows(stretch, options)}`;
}

/**
 * What stands behind FROM for the rows of a few transactions, by the index on `(tx_id, seq)`.
 *
 * They are compared as pairs because the planner can use no other index then: on a table that it takes for that of a
 * single transaction it would go through `seq` alone.
 */
export function rowsOfTransactions(
  stretch: TransactionStretch,
  options: { readonly where: string; readonly shard: Shard | undefined },
): string {
  const { after, upTo, txIds } = stretch;
  return `unnest('{${txIds.join(',')}}'::xid8[]) as x(id), event_runtime.outbox o
   where (o.tx_id, o.seq) > (x.id, ${after}) and (o.tx_id, o.seq) <= (x.id, ${upTo})
     and ${options.where}${within(stretch)}${inShard(options.shard)}`;
}

/** The stretch of a few transactions. */
export interface TransactionStretch extends Stretch {
  readonly upTo: bigint;
  readonly txIds: readonly bigint[];
}

/**
 * Rows of a few transactions, as {@link rowsOfTransactions}: at most `each` of each. Where a transaction gave so
 * many, it may have more, and what lies behind its last one is not complete.
 */
export function byTransaction(
  stretch: TransactionStretch,
  options: { readonly each: number; readonly shard: Shard | undefined },
): string {
  const { after, upTo, txIds } = stretch;
  return `select ${columns}, o.size from unnest('{${txIds.join(',')}}'::xid8[]) as x(id)
   cross join lateral (
     select ${columns}, ${size}
       from event_runtime.outbox o
      where (o.tx_id, o.seq) > (x.id, ${after}) and (o.tx_id, o.seq) <= (x.id, ${upTo})
        ${within(stretch)}${inShard(options.shard)}
      order by o.tx_id, o.seq limit ${options.each}) o`;
}

function within({ since, before }: Stretch): string {
  const from = since === null ? '' : ` and o.recorded_at >= '${since}'`;
  return before === null ? from : `${from} and o.recorded_at < '${before}'`;
}

/** A condition on the row `o`. A stable hash: an entity stays in its shard; events without an entity are spread by their id. */
export function inShard(shard: Shard | undefined): string {
  if (shard === undefined || shard.count === 1) return '';
  return ` and (hashtextextended(coalesce(o.entity_key, o.event_id::text), case when o.entity_key is null then 0
    else hashtextextended(o.tenant_id, 0) end) & 9223372036854775807) % ${shard.count} = ${shard.index}`;
}

/** A page of rows. Wraps {@link bySeq} or {@link byTransaction}. */
export function pageOf(source: string, limits: PageLimits): string {
  return withSettings(cutToLimits(source, limits));
}

/** Which rows a batch takes, by their transactions; for {@link bySeq}. */
export function betweenSnapshots(from: Snapshot, to: Snapshot): string {
  return `not pg_visible_in_snapshot(o.tx_id, '${from.toString()}') and pg_visible_in_snapshot(o.tx_id, '${to.toString()}')`;
}
