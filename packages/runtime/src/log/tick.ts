import type { ClientBase, Pool } from 'pg';
import { type Lsn, parseLsn } from '../replication/lsn.ts';
import { Snapshot } from './snapshot.ts';

type Queryable = Pick<ClientBase | Pool, 'query'>;

/** A moment of the log, as `event_runtime.tick` keeps it. What its parts promise is written in 0006_relay.sql. */
export interface Tick {
  /** ISO 8601 in UTC. */
  readonly at: string;
  readonly xid: bigint;
  /** Every event of a transaction with a higher id than `xid` has a higher `seq`. */
  readonly seq: bigint;
  readonly snapshot: Snapshot;
  /** Every transaction that `snapshot` sees has its commit record before. */
  readonly lsn: Lsn;
  /** No event that `snapshot` sees has a higher `seq`. */
  readonly ceiling: bigint;
}

interface TickRow {
  readonly at: string;
  readonly xid: string;
  readonly seq: string;
  readonly snapshot: string;
  readonly lsn: string;
  readonly ceiling: string;
}

const columns = `to_char(t.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at, t.xid::text, t.seq::text,
  t.snapshot::text, t.lsn::text, t.ceiling::text`;

/** Stores a tick. Outside of any transaction: it must be committed at once. */
export async function tick(client: Queryable): Promise<Tick> {
  const { rows } = await client.query<TickRow>(`select ${columns} from event_runtime.tick() t`);
  return toTick(rows[0] as TickRow);
}

/** Where events may be looked for. */
export interface Bound {
  /** Their `seq` is higher. 0: nothing is known. */
  readonly seq: bigint;
  /** They were recorded at this time or later: the start of a day, ISO 8601 in UTC. Null: nothing is known. */
  readonly since: string | null;
}

/** Where the events are that a snapshot does not see. */
export interface Bounds {
  /** All of them. */
  readonly unseen: Bound;
  /** Those of transactions with an id from `xmax` on. Such a transaction may be much older than the snapshot. */
  readonly later: Bound;
}

/** How far a clock may go back between two ticks, and how far those of two replicas may differ. Milliseconds. */
const clockMarginMs = 3_600_000;
const dayMs = 86_400_000;

/** Ticks of this time are looked at first: nearly every reader is near the present, and all else is pruned. */
function recent(): { readonly from: string; readonly to: string } {
  const now = Date.now();
  return { from: new Date(now - 2 * dayMs).toISOString(), to: new Date(now + dayMs).toISOString() };
}

/** What the ticks say of the events that a snapshot does not see. Without ticks: nothing, and all must be looked at. */
export async function boundsOf(client: Queryable, snapshot: Snapshot): Promise<Bounds> {
  const { xmin, xmax } = snapshot;
  if (xmax <= Snapshot.nothing.xmax) return { unseen: toBound(undefined), later: toBound(undefined) };
  const { from, to } = recent();
  let [older, newer] = await latestBelow(client, { xids: [xmin, xmax], range: [from, to] });
  if (older === undefined || newer === undefined) {
    const missing = older === undefined ? [xmin, xmax] : [xmax];
    const found = await latestBelow(client, { xids: missing, range: ['-infinity', 'infinity'] });
    newer ??= found.at(-1);
    older ??= found[0];
  }
  return { unseen: toBound(older), later: toBound(newer) };
}

type BelowRow = Pick<TickRow, 'at' | 'seq'> & { readonly xid: string };

/** For each id the latest tick with a lower one. */
async function latestBelow(
  client: Queryable,
  options: { readonly xids: readonly bigint[]; readonly range: readonly [string, string] },
): Promise<(BelowRow | undefined)[]> {
  const branches = options.xids.map(
    (_xid, index) => `(select ${index} as branch, ${columns} from event_runtime.tick t
      where t.xid < $${index + 3}::xid8 and t.at >= $1 and t.at < $2 order by t.xid desc limit 1)`,
  );
  const { rows } = await client.query<BelowRow & { readonly branch: number }>(branches.join(' union all '), [
    ...options.range,
    ...options.xids.map(String),
  ]);
  return options.xids.map((_xid, index) => rows.find((row) => row.branch === index));
}

function toBound(row: BelowRow | undefined): Bound {
  if (row === undefined) return { seq: 0n, since: null };
  const day = Math.floor((Date.parse(row.at) - clockMarginMs) / dayMs) * dayMs;
  return { seq: BigInt(row.seq), since: new Date(day).toISOString() };
}

/** How many ticks are looked at for one that a batch can end at. */
const candidates = 20;

/**
 * The tick at which a batch that begins after `snapshot` ends: the latest with at most `maxEvents` drawn in between,
 * else the next one. Undefined: no tick is newer.
 *
 * @param options.later the snapshot's, of {@link boundsOf}
 */
export async function tickAfter(
  client: Queryable,
  options: { readonly snapshot: Snapshot; readonly later: Bound; readonly maxEvents: number },
): Promise<Tick | undefined> {
  const { snapshot, later, maxEvents } = options;
  const { rows } = await client.query<TickRow & { readonly far: boolean }>(
    `(select true as far, ${columns} from event_runtime.tick t
       where t.xid >= $1::xid8 and t.at >= $2 and t.seq >= $3 and t.seq <= $4
       order by t.seq desc, t.xid desc limit 1)
     union all
     (select false, ${columns} from event_runtime.tick t
       where t.xid >= $1::xid8 and t.at >= $2 order by t.xid limit ${candidates})`,
    [
      snapshot.xmax.toString(),
      later.since ?? '-infinity',
      later.seq.toString(),
      (later.seq + BigInt(maxEvents)).toString(),
    ],
  );
  const far = rows.filter((row) => row.far).map(toTick);
  let ticks = rows.filter((row) => !row.far).map(toTick);
  const found = [...far, ...ticks].find((each) => leadsOn(each, snapshot));
  if (found !== undefined) return found;
  // The first ones may have been taken before the snapshot, though their ids are higher.
  while (ticks.length === candidates) {
    ticks = await ticksFrom(client, { xid: (ticks.at(-1) as Tick).xid + 1n, since: later.since });
    const next = ticks.find((each) => leadsOn(each, snapshot));
    if (next !== undefined) return next;
  }
  return undefined;
}

function leadsOn(each: Tick, from: Snapshot): boolean {
  return each.snapshot.covers(from) && !from.covers(each.snapshot);
}

/** The first ticks from a transaction id on, a few of them. */
export async function ticksFrom(
  client: Queryable,
  options: { readonly xid: bigint; readonly since: string | null },
): Promise<Tick[]> {
  const { rows } = await client.query<TickRow>(
    `select ${columns} from event_runtime.tick t where t.xid >= $1::xid8 and t.at >= $2 order by t.xid limit ${candidates}`,
    [options.xid.toString(), options.since ?? '-infinity'],
  );
  return rows.map(toTick);
}

function toTick(row: TickRow): Tick {
  return {
    at: row.at,
    xid: BigInt(row.xid),
    seq: BigInt(row.seq),
    snapshot: Snapshot.parse(row.snapshot),
    lsn: parseLsn(row.lsn),
    ceiling: BigInt(row.ceiling),
  };
}
