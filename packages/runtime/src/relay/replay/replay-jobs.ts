import type { ClientBase, Pool } from 'pg';
import { runtimeError } from '../../errors/codes.ts';
import { Snapshot } from '../../log/snapshot.ts';
import { type ReplayWait, replayWaitSql, troubleSql } from './replay-waits.ts';
import { checkSelection, type ReplaySelection, type StoredSelection, selectionSql } from './selection.ts';

type Queryable = Pick<ClientBase | Pool, 'query'>;

export interface ReplayOptions {
  readonly relay: string;
  /** One that the relay has run with. */
  readonly sink: string;
  readonly selection: ReplaySelection;
  /** Events a second at most, of each part of the sink together. 1 to 1,000,000. Default 500. */
  readonly eventsPerSecond?: number;
  /** Into how many parts the sink is divided: `relay.shards` where the table is polled. Default 1. */
  readonly shards?: number;
}

/** What a replay would hand over. */
export interface ReplayPreview {
  readonly total: number;
  /** Of the events, the times of the first and the last. ISO 8601 in UTC; null: there is none. */
  readonly oldest: string | null;
  readonly newest: string | null;
}

export type ReplayState = 'running' | 'paused' | 'done' | 'cancelled';

/** A replay, and how far it has got. */
export interface Replay {
  readonly id: string;
  readonly relay: string;
  readonly sink: string;
  readonly state: ReplayState;
  readonly selection: ReplaySelection;
  /** Events when it was made. Retention may have dropped some of them since. */
  readonly total: number;
  /** Handed to the sink and taken, or sent elsewhere by a route. */
  readonly delivered: number;
  /** Refused for good: they are dead letters. */
  readonly rejected: number;
  readonly eventsPerSecond: number;
  /** The name of the error for which the sink does not take what it is handed; null: none. */
  readonly trouble: string | null;
  /** What keeps it from being handed over; null: it does not run, or nothing is known to be in the way. */
  readonly waitsFor: ReplayWait | null;
  /** ISO 8601 in UTC. */
  readonly createdAt: string;
  /** When it last got on, or an operator changed it. ISO 8601 in UTC. */
  readonly updatedAt: string;
}

const defaultRate = 500;

/** Counts, and changes nothing. @throws ER6001, ER6002, ER1320 */
export async function previewReplay(client: Queryable, options: ReplayOptions): Promise<ReplayPreview> {
  const { total, oldest, newest } = await survey(client, await prepare(client, options));
  return { total, oldest, newest };
}

/**
 * Makes a replay of the events that are committed now; whoever feeds the sink begins with it within a second or two.
 * Its rows are the job: it outlives every process.
 *
 * @throws ER6001, ER6002, ER1320
 */
export async function createReplay(client: Queryable, options: ReplayOptions): Promise<Replay> {
  const { relay, sink, eventsPerSecond = defaultRate, shards = 1 } = options;
  const selection = await prepare(client, options);
  const found = await survey(client, selection);
  const { rows } = await client.query<{ id: string }>(
    `with made as (
       insert into event_runtime.replay
         (relay, sink, selection, snapshot, after_seq, upto_seq, total, events_per_second, shards)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
       returning replay_id, after_seq, total
     ), parts as (
       insert into event_runtime.replay_part (replay_id, shard, after_seq, finished_at)
       select made.replay_id, s.shard, made.after_seq, case when made.total = 0 then clock_timestamp() end
         from made, generate_series(0, $9 - 1) as s(shard)
     )
     select replay_id as id from made`,
    [relay, sink, selection, found.snapshot, found.after, found.upTo, found.total, eventsPerSecond, shards],
  );
  return await getReplay(client, { relay, id: rows[0]?.id ?? '' });
}

/** A relay's replays, the newest first. */
export async function listReplays(
  client: Queryable,
  { relay, sink }: { readonly relay: string; readonly sink?: string },
): Promise<readonly Replay[]> {
  const { rows } = await client.query<ReplayRow>(
    `${replaysSql} where r.relay = $1 and ($2::text is null or r.sink = $2) group by r.replay_id
      order by r.replay_id desc`,
    [relay, sink ?? null],
  );
  return rows.map(toReplay);
}

/** @throws ER6003 */
export async function getReplay(
  client: Queryable,
  { relay, id }: { readonly relay: string; readonly id: string },
): Promise<Replay> {
  const { rows } = await client.query<ReplayRow>(
    `${replaysSql} where r.relay = $1 and r.replay_id::text = lower($2) group by r.replay_id`,
    [relay, id],
  );
  if (rows[0] === undefined)
    throw runtimeError('ER6003', { detail: `Relay ${relay}: ${JSON.stringify(id)}.` });
  return toReplay(rows[0]);
}

/**
 * Pauses a replay, lets it go on, or ends it. It takes note within a second or two; what was handed over stays so. Where
 * the events of one that is ended stand need not be known any more.
 *
 * @returns the replay, and whether that changed anything
 * @throws ER6003; ER6004 it is done or cancelled
 */
export async function setReplayState(
  client: Queryable,
  options: {
    readonly relay: string;
    readonly id: string;
    readonly state: 'running' | 'paused' | 'cancelled';
  },
): Promise<{ readonly replay: Replay; readonly changed: boolean }> {
  const { relay, id, state } = options;
  const { rowCount } = await client.query(
    `update event_runtime.replay r set state = $3, changed_at = clock_timestamp(),
            selection = case when $3 = 'cancelled' then r.selection - 'seqs' else r.selection end
      where relay = $1 and replay_id::text = lower($2) and state in ('running', 'paused') and state <> $3
        and exists (select from event_runtime.replay_part p
                     where p.replay_id = r.replay_id and p.finished_at is null)`,
    [relay, id, state],
  );
  const replay = await getReplay(client, { relay, id });
  if (replay.state !== state) throw runtimeError('ER6004', { detail: `Replay ${id} is ${replay.state}.` });
  return { replay, changed: rowCount === 1 };
}

/**
 * Removes the replays of every relay that were done or cancelled before a time. What they handed over, and the dead
 * letters of it, stay.
 *
 * @returns how many there were
 */
export async function dropOldReplays(client: Queryable, before: Date): Promise<number> {
  const { rowCount } = await client.query(
    `delete from event_runtime.replay r
      where r.changed_at < $1
        and not exists (select from event_runtime.replay_part p
                         where p.replay_id = r.replay_id
                           and (p.updated_at >= $1 or (p.finished_at is null and r.state <> 'cancelled')))`,
    [before],
  );
  return rowCount ?? 0;
}

/** @throws ER6001, ER6002, ER1320 */
async function prepare(client: Queryable, options: ReplayOptions): Promise<StoredSelection> {
  const { relay, sink, eventsPerSecond: rate = defaultRate } = options;
  if (!Number.isInteger(rate) || rate < 1 || rate > 1_000_000) {
    throw runtimeError('ER6001', {
      detail: `The rate must be 1 to 1000000 events a second, and is ${rate}.`,
    });
  }
  const selection = checkSelection(options.selection);
  const known = await client.query<{ sink: string }>(
    'select distinct sink from event_runtime.relay_checkpoint where relay = $1 order by sink',
    [relay],
  );
  if (!known.rows.some((row) => row.sink === sink)) {
    const names = known.rows.map((row) => row.sink).join(', ') || 'none yet';
    throw runtimeError('ER1320', { detail: `It is ${JSON.stringify(sink)}; relay ${relay} has ${names}.` });
  }
  const { eventIds } = selection;
  return eventIds === undefined ? selection : { ...selection, seqs: await seqsOf(client, eventIds) };
}

async function seqsOf(client: Queryable, eventIds: readonly string[]): Promise<readonly string[]> {
  const { rows } = await client.query<{ id: string; seq: string }>(
    'select event_id as id, seq::text from event_runtime.outbox where event_id = any ($1::uuid[])',
    [eventIds],
  );
  const seqs = new Map(rows.map(({ id, seq }) => [id, seq]));
  const missing = eventIds.filter((id) => !seqs.has(id));
  if (missing.length > 0) {
    const named = missing.slice(0, 5).join(', ');
    throw runtimeError('ER6002', { detail: `${missing.length} of ${eventIds.length}: ${named}.` });
  }
  return [...seqs.values()].toSorted((a, b) => Number(BigInt(a) - BigInt(b)));
}

interface Survey extends ReplayPreview {
  readonly snapshot: string;
  readonly after: string;
  readonly upTo: string;
}

/** What is selected at this moment. One statement: the count and the snapshot are of the same instant. */
async function survey(client: Queryable, selection: StoredSelection): Promise<Survey> {
  const { rows } = await client.query<Omit<Survey, 'total'> & { readonly total: string }>(
    `select pg_current_snapshot()::text as snapshot, count(*)::text as total,
            coalesce(min(o.seq) - 1, 0)::text as after, coalesce(max(o.seq), 0)::text as "upTo",
            ${iso('min(o.recorded_at)')} as oldest, ${iso('max(o.recorded_at)')} as newest
       from event_runtime.outbox o where ${selectionSql(selection)}`,
  );
  const [row] = rows;
  if (row === undefined) throw new TypeError('the server gave no row');
  Snapshot.parse(row.snapshot);
  return { ...row, total: Number(row.total) };
}

function iso(expression: string): string {
  return `to_char(${expression} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
}

interface ReplayRow extends Omit<Replay, 'selection' | 'total' | 'delivered' | 'rejected'> {
  readonly selection: StoredSelection;
  readonly total: string;
  readonly delivered: string;
  readonly rejected: string;
}

const replaysSql = `select r.replay_id as id, r.relay, r.sink, r.selection,
    case when bool_and(p.finished_at is not null) then 'done' else r.state end as state, r.total::text,
    sum(p.delivered)::text as delivered, sum(p.rejected)::text as rejected,
    r.events_per_second as "eventsPerSecond", ${troubleSql('p')} as trouble,
    ${replayWaitSql} as "waitsFor",
    ${iso('r.created_at')} as "createdAt", ${iso('greatest(r.changed_at, max(p.updated_at))')} as "updatedAt"
  from event_runtime.replay r join event_runtime.replay_part p using (replay_id)`;

function toReplay(row: ReplayRow): Replay {
  const { seqs, ...selection } = row.selection;
  void seqs;
  const [total, delivered, rejected] = [Number(row.total), Number(row.delivered), Number(row.rejected)];
  return { ...row, selection, total, delivered, rejected };
}
