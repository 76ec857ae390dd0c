import type { ClientBase } from 'pg';

/** The tables that are partitioned by day. */
export const dayPartitionedTables = ['outbox', 'consumer_idempotency', 'webhook_attempt', 'tick'] as const;
export type DayPartitionedTable = (typeof dayPartitionedTables)[number];

export const dayMs = 86_400_000;

/** One partition: what lies in [from, to), milliseconds since 1970, ±Infinity at the ends. */
export interface Partition {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  /** A DETACH CONCURRENTLY has begun and was not finished. */
  readonly detaching: boolean;
}

/** A stretch of time that no partition covers. */
export interface Gap {
  readonly from: number;
  readonly to: number;
}

/** Start of the UTC day. */
export function startOfDay(time: number): number {
  return Math.floor(time / dayMs) * dayMs;
}

/** The attached partitions, in the order of time. */
export async function listPartitions(client: ClientBase, table: DayPartitionedTable): Promise<Partition[]> {
  const { rows } = await client.query<Partition>(
    `select p.name, p.detaching,
            extract(epoch from p.lower_bound)::float8 * 1000 as "from",
            extract(epoch from p.upper_bound)::float8 * 1000 as "to"
       from event_runtime.partition_list($1) p
      order by p.lower_bound`,
    [table],
  );
  return rows;
}

/** What the partitions leave open, in the order of time. */
export function gapsBetween(partitions: readonly Partition[]): readonly Gap[] {
  const gaps: Gap[] = [];
  let covered = Number.NEGATIVE_INFINITY;
  for (const { from, to } of partitions) {
    if (from > covered) gaps.push({ from: covered, to: from });
    covered = to;
  }
  if (covered < Number.POSITIVE_INFINITY) gaps.push({ from: covered, to: Number.POSITIVE_INFINITY });
  return gaps;
}

/** Tables named as partitions of `table` that are attached nowhere: what an interrupted upkeep left. */
export async function listOrphans(client: ClientBase, table: DayPartitionedTable): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select c.relname as name
       from pg_class c
      where c.relnamespace = 'event_runtime'::regnamespace and c.relkind = 'r' and not c.relispartition
        and c.relname ~ ('^' || $1 || '_(underflow|overflow|[0-9]{8}(_[0-9]{8})?)$')
      order by c.relname`,
    [table],
  );
  return rows.map((row) => row.name);
}

/** What the name of a partition says of its range; undefined for underflow and overflow. */
export function rangeOfName(name: string): Gap | undefined {
  const days = /_(\d{8})(?:_(\d{8}))?$/.exec(name);
  if (days?.[1] === undefined) return undefined;
  const from = parseDay(days[1]);
  return { from, to: days[2] === undefined ? from + dayMs : parseDay(days[2]) };
}

function parseDay(text: string): number {
  return Date.parse(`${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6, 8)}T00:00:00Z`);
}

/** As a parameter for `::timestamptz`. */
export function toBound(time: number): string {
  if (time === Number.NEGATIVE_INFINITY) return '-infinity';
  if (time === Number.POSITIVE_INFINITY) return 'infinity';
  return new Date(time).toISOString();
}

/** Whether a table of ours holds no row. `name` comes from the catalogue. */
export async function isEmpty(client: ClientBase, name: string): Promise<boolean> {
  const { rows } = await client.query<{ empty: boolean }>(
    `select not exists (select from event_runtime.${quote(name)}) as empty`,
  );
  return rows[0]?.empty === true;
}

export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
