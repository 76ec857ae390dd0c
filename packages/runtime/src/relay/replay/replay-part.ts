import type { ClientBase, Pool } from 'pg';
import { runtimeError } from '../../errors/codes.ts';
import type { CheckpointOwner } from '../../log/checkpoint.ts';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import { stretchPages } from '../../log/page-fetch.ts';
import type { PageLimits, Shard } from '../../log/table-page.ts';
import { checkTimeline, timelineSql } from '../../log/timeline.ts';
import { type StoredSelection, selectionSql } from './selection.ts';

type Queryable = Pick<ClientBase | Pool, 'query'>;

/** What the feeder of one part of a sink has to hand over once more. */
export interface ReplayPart {
  readonly id: string;
  readonly shard: number;
  readonly shards: number;
  readonly selection: StoredSelection;
  /** `pg_snapshot`: rows that it does not see are not of the replay. */
  readonly snapshot: string;
  /** Everything up to this `seq` is done with. */
  readonly afterSeq: bigint;
  readonly upToSeq: bigint;
  readonly eventsPerSecond: number;
}

interface Feeder {
  readonly sink: string;
  readonly owner: CheckpointOwner;
  /** Into how many parts the sink is divided now. */
  readonly shards: number;
}

/** Writes ER6006 to replays that were made for a sink that was divided otherwise: they stand still, and say why. */
export async function markMisfits(client: Queryable, { sink, owner, shards }: Feeder): Promise<void> {
  await client.query(
    `update event_runtime.replay_part p set trouble = 'ER6006'
       from event_runtime.replay r
      where r.replay_id = p.replay_id and r.relay = $1 and r.sink = $2 and p.shard = $3 and r.shards <> $4
        and p.finished_at is null and p.trouble is distinct from 'ER6006'`,
    [owner.relay, sink, owner.shard, shards],
  );
}

/** The oldest replay of a sink that is running and not finished in this part. Changes nothing. */
export async function nextReplayPart(
  client: Queryable,
  { sink, owner, shards }: Feeder,
): Promise<ReplayPart | undefined> {
  const { rows } = await client.query<
    Omit<ReplayPart, 'afterSeq' | 'upToSeq'> & { readonly afterSeq: string; readonly upToSeq: string }
  >(
    `select r.replay_id as id, p.shard, r.shards, r.selection, r.snapshot::text, p.after_seq::text as "afterSeq",
            r.upto_seq::text as "upToSeq", r.events_per_second as "eventsPerSecond"
       from event_runtime.replay r join event_runtime.replay_part p using (replay_id)
      where r.relay = $1 and r.sink = $2 and r.state = 'running' and p.shard = $3 and p.finished_at is null
        and r.shards = $4
      order by r.replay_id limit 1`,
    [owner.relay, sink, owner.shard, shards],
  );
  const [row] = rows;
  return row === undefined
    ? undefined
    : { ...row, afterSeq: BigInt(row.afterSeq), upToSeq: BigInt(row.upToSeq) };
}

/** What was done with since the last time. */
export interface ReplayProgress {
  readonly afterSeq: bigint;
  /** What was written before: nobody else has written since. */
  readonly before: bigint;
  readonly delivered: number;
  readonly rejected: number;
  readonly finished: boolean;
  /** The name of an error; null: the sink takes what it is handed. */
  readonly trouble: string | null;
}

/**
 * Writes how far a part has got. With the last part's end goes where single events stand: up to 10,000 numbers.
 *
 * @returns whether it is to go on: nobody has paused or ended it
 * @throws ER1207 somebody else feeds the sink, or has done so; ER1210 the connection leads to another server: nothing
 *   is written
 */
export async function saveReplayProgress(
  client: Queryable,
  options: {
    readonly part: ReplayPart;
    readonly sink: string;
    readonly owner: CheckpointOwner;
    readonly progress: ReplayProgress;
  },
): Promise<boolean> {
  const { part, sink, owner, progress } = options;
  const { rows } = await client.query<{ state: string }>(
    `with written as (
      update event_runtime.replay_part p
        set after_seq = $3, delivered = p.delivered + $4, rejected = p.rejected + $5, trouble = $7,
            finished_at = case when $6 then clock_timestamp() end,
            updated_at = case when $6 or $3 > p.after_seq then clock_timestamp() else p.updated_at end
       from event_runtime.replay r
      where p.replay_id = $1 and p.shard = $2 and r.replay_id = p.replay_id and p.after_seq = $11
        and ${timelineSql} = $12
        and exists (select from event_runtime.relay_checkpoint c
                     where (c.relay, c.sink, c.shard, c.epoch) = ($8, $9, $2, $10::bigint))
      returning p.replay_id, p.shard, r.state
    ), forgotten as (
      update event_runtime.replay r set selection = r.selection - 'seqs'
        from written w
       where $6 and r.replay_id = w.replay_id and not exists (
         select from event_runtime.replay_part o
          where o.replay_id = w.replay_id and o.shard <> w.shard and o.finished_at is null)
    )
    select w.state from written w`,
    [
      ...[part.id, part.shard, progress.afterSeq.toString(), progress.delivered, progress.rejected],
      ...[progress.finished, progress.trouble, owner.relay, sink, owner.epoch.toString()],
      ...[progress.before.toString(), owner.timeline],
    ],
  );
  const [row] = rows;
  if (row === undefined) {
    await checkTimeline(client, owner);
    throw runtimeError('ER1207', { detail: `Sink ${sink}, epoch ${owner.epoch}.` });
  }
  return row.state === 'running' && !progress.finished;
}

/** So many numbers are looked through by one statement, however few of them are selected. */
const stretchLength = 100_000n;

/** Some events of a part, and up to where all are among them. */
export interface ReplayPage {
  readonly events: readonly LoggedEvent[];
  /** Behind it there may be more. */
  readonly upTo: bigint;
}

/**
 * The events of a part behind a `seq`; by the index on `seq`, a bounded stretch in each statement.
 *
 * What came with a dump has transaction ids of another cluster: it was there when the replay was made, or, where the
 * dump was restored since, the replay came with it.
 */
export async function readReplayPage(
  client: Queryable,
  options: { readonly part: ReplayPart; readonly after: bigint; readonly limits: PageLimits },
): Promise<ReplayPage> {
  const { part, after, limits } = options;
  const { selection, upToSeq, snapshot } = part;
  const shard: Shard = { index: part.shard, count: part.shards };
  // Of single events, so many as a page may have: all of them in each statement would be most of its work.
  const seqs = selection.seqs?.filter((seq) => BigInt(seq) > after).slice(0, limits.events);
  if (seqs?.length === 0) return { events: [], upTo: upToSeq };
  const end = seqs === undefined ? after + stretchLength : BigInt(seqs.at(-1) ?? 0);
  const upTo = end < upToSeq ? end : upToSeq;
  const there = `(o.seq <= (select k.floor_seq from event_runtime.relay_cluster k)
    or pg_visible_in_snapshot(o.tx_id, '${snapshot}'))`;
  const fetch = stretchPages({
    client,
    limits,
    shard,
    stretch: { upTo, since: selection.from ?? null, before: selection.before ?? null },
    where: `${selectionSql(seqs === undefined ? selection : { ...selection, seqs })} and ${there}`,
  });
  const { events, more } = await fetch(after);
  const last = events.at(-1)?.event.seq;
  const marked = events.map((logged) => ({ ...logged, event: { ...logged.event, replay: part.id } }));
  return { events: marked, upTo: more && last !== undefined ? last : upTo };
}
