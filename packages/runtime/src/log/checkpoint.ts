import { isEventRuntimeError } from '@event-runtime/outbox';
import type { ClientBase, Pool } from 'pg';
import { runtimeError } from '../errors/codes.ts';
import { formatLsn, parseLsn } from '../replication/lsn.ts';
import { letterEntity } from './letters-sql.ts';
import type { Position } from './outbox-event.ts';
import { Snapshot } from './snapshot.ts';
import { checkTimeline, timelineSql } from './timeline.ts';

/** Who may write a checkpoint: the relay by name, and the lease (its epoch) under which this process works for it. */
export interface CheckpointOwner {
  readonly relay: string;
  /** 0 where a sink is not divided. */
  readonly shard: number;
  /** From the lease; a lower one is turned away (ER1207). */
  readonly epoch: bigint;
  /** A UUID of this session: one that began later turns it away (ER1207), under the same epoch too. Default: the epoch alone counts. */
  readonly claim?: string;
  /** `system_identifier` of the cluster: positions and snapshots mean nothing in another one. */
  readonly systemIdentifier: string;
  /** Of the server that the checkpoints were read from: on another one nothing is written (ER1210). */
  readonly timeline: number;
}

/** A batch of the table in progress. */
export interface TableBatch {
  /** The batch is what is visible in it, and not in the checkpoint's `snapshot`. */
  readonly to: Snapshot;
  /** Of the batch, everything up to this `seq` is delivered. */
  readonly afterSeq: bigint;
}

/** Rows that came from another cluster and are being read, once. */
export interface Adoption {
  /** What was delivered in that cluster. */
  readonly snapshot: Snapshot;
  /** Rows recorded later are read whatever `snapshot` says. PostgreSQL's text of a timestamptz. */
  readonly since: string;
  /** Everything up to this `seq` is delivered. */
  readonly afterSeq: bigint;
}

/** How far a sink has got. */
export interface Checkpoint {
  /** `live`: goes on in the WAL after `position`. `table`: goes on in the table after `snapshot`. */
  readonly mode: 'live' | 'table';
  readonly position: Position;
  /** Everything that is visible in it is delivered, in either mode. */
  readonly snapshot: Snapshot;
  readonly batch: TableBatch | null;
  /** Rows with a `seq` up to here came from another cluster; see {@link Adoption}. 0: none. */
  readonly floorSeq: bigint;
  readonly adoption: Adoption | null;
}

/** A checkpoint as it is stored, with what others write beside it. */
export interface StoredCheckpoint {
  readonly checkpoint: Checkpoint;
  /** Set by an operator: the sink takes nothing. */
  readonly paused: boolean;
}

/** A checkpoint as it was when it was claimed. */
export interface ClaimedCheckpoint extends StoredCheckpoint {
  /** The server's timeline when it was claimed the time before; ours when it is new. */
  readonly timeline: number;
  /** When it was written. ISO 8601 in UTC. */
  readonly updatedAt: string;
}

type Queryable = Pick<ClientBase | Pool, 'query'>;

interface CheckpointRow {
  readonly sink: string;
  readonly system_identifier: string;
  readonly mode: 'live' | 'table';
  readonly lsn: string;
  readonly ordinal: number;
  readonly snapshot: string;
  readonly batch_snapshot: string | null;
  readonly batch_seq: string | null;
  readonly floor_seq: string;
  readonly adopting_snapshot: string | null;
  readonly adopting_since: string | null;
  readonly paused: boolean;
}

const columns = `sink, system_identifier, mode, lsn::text, ordinal, snapshot::text, batch_snapshot::text,
  batch_seq::text, floor_seq::text, adopting_snapshot::text, adopting_since::text, paused_at is not null as paused`;

const writtenAt = `to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/**
 * Makes this owner the only one who may write these sinks' checkpoints, and reads them. A sink without one begins
 * before every event that the outbox holds, those included that came from another cluster.
 *
 * @throws ER1206 a checkpoint belongs to another cluster ({@link adoptCluster} first); ER1207 a higher epoch holds it
 */
export async function claimCheckpoints(
  client: Queryable,
  options: { readonly sinks: readonly string[]; readonly owner: CheckpointOwner },
): Promise<Map<string, ClaimedCheckpoint>> {
  const { sinks, owner } = options;
  const { rows } = await client.query<CheckpointRow & Pick<ClaimedCheckpoint, 'timeline' | 'updatedAt'>>(
    // What stands in RETURNING is read as it was before the statement.
    `insert into event_runtime.relay_checkpoint as c
       (relay, sink, shard, epoch, claim, system_identifier, timeline, snapshot, floor_seq, adopting_snapshot,
        adopting_since)
     select $1, s.sink, $3, $4, $7, $5, $6, '3:3:', k.floor_seq,
            case when k.floor_seq > 0 then '3:3:'::pg_snapshot end,
            case when k.floor_seq > 0 then '-infinity'::timestamptz end
       from unnest($2::text[]) as s(sink), event_runtime.relay_cluster k
     on conflict (relay, sink, shard) do update
       set epoch = excluded.epoch, claim = excluded.claim, timeline = excluded.timeline
       where c.epoch <= excluded.epoch
     returning ${columns}, ${writtenAt} as "updatedAt",
       coalesce((select b.timeline from event_runtime.relay_checkpoint b
                  where (b.relay, b.sink, b.shard) = (c.relay, c.sink, c.shard)), c.timeline) as timeline`,
    [
      ...[owner.relay, sinks, owner.shard, owner.epoch.toString(), owner.systemIdentifier, owner.timeline],
      owner.claim ?? null,
    ],
  );
  const claimed = new Map<string, ClaimedCheckpoint>();
  for (const row of rows) {
    if (row.system_identifier !== owner.systemIdentifier) {
      throw runtimeError('ER1206', {
        detail: `Sink ${row.sink}: ${row.system_identifier}, connected to ${owner.systemIdentifier}.`,
      });
    }
    const { timeline, updatedAt } = row;
    claimed.set(row.sink, { checkpoint: toCheckpoint(row), paused: row.paused, timeline, updatedAt });
  }
  const turnedAway = sinks.filter((sink) => !claimed.has(sink));
  if (turnedAway.length > 0) throw fenced(turnedAway.join(', '), owner);
  return claimed;
}

/**
 * Writes a sink's checkpoint. Within the caller's transaction where there is one.
 *
 * @returns whether an operator has paused the sink
 * @throws ER1207 somebody else has claimed it meanwhile; ER1210 the connection led to another server: in either case
 *   nothing is written
 */
export async function saveCheckpoint(
  client: Queryable,
  options: { readonly sink: string; readonly owner: CheckpointOwner; readonly checkpoint: Checkpoint },
): Promise<{ readonly paused: boolean }> {
  const { sink, owner, checkpoint } = options;
  const { batch, adoption } = checkpoint;
  const { rows } = await client.query<{ paused: boolean }>(
    `update event_runtime.relay_checkpoint
        set mode = $6, lsn = $7, ordinal = $8, snapshot = $9, batch_snapshot = $10, batch_seq = $11,
            floor_seq = $12, adopting_snapshot = $13, adopting_since = $14, updated_at = clock_timestamp()
      where relay = $1 and sink = $2 and shard = $3 and epoch = $4 and system_identifier = $5
        and ${timelineSql} = $15 and ($16::uuid is null or claim = $16)
      returning paused_at is not null as paused`,
    [
      owner.relay,
      sink,
      owner.shard,
      owner.epoch.toString(),
      owner.systemIdentifier,
      checkpoint.mode,
      formatLsn(checkpoint.position.lsn),
      checkpoint.position.ordinal,
      checkpoint.snapshot.toString(),
      batch?.to.toString() ?? null,
      (adoption ?? batch)?.afterSeq.toString() ?? null,
      checkpoint.floorSeq.toString(),
      adoption?.snapshot.toString() ?? null,
      adoption?.since ?? null,
      owner.timeline,
      owner.claim ?? null,
    ],
  );
  const row = rows[0];
  if (row !== undefined) return row;
  await checkTimeline(client, owner);
  throw fenced(sink, owner);
}

/** Whether an error of {@link saveCheckpoint} says that what is in memory is of no use any more. */
export function isTurnedAway(error: unknown): boolean {
  return isEventRuntimeError(error) && (error.code === 'ER1207' || error.code === 'ER1210');
}

/** A checkpoint as operators see it. */
export interface ListedCheckpoint extends StoredCheckpoint {
  readonly sink: string;
  readonly shard: number;
  /** The cluster that position and snapshot belong to. */
  readonly systemIdentifier: string;
  /** Events that retention dropped before this sink had read them. */
  readonly gappedEvents: number;
  /** When it was written. ISO 8601 in UTC. */
  readonly updatedAt: string;
}

/** A relay's checkpoints, in the order of sink and shard. Changes nothing. */
export async function listCheckpoints(client: Queryable, relay: string): Promise<ListedCheckpoint[]> {
  const { rows } = await client.query<
    CheckpointRow & { readonly shard: number; readonly gapped_events: string; readonly written_at: string }
  >(
    `select ${columns}, shard, gapped_events::text,
            ${writtenAt} as written_at
       from event_runtime.relay_checkpoint where relay = $1 order by sink, shard`,
    [relay],
  );
  return rows.map((row) => ({
    sink: row.sink,
    shard: row.shard,
    systemIdentifier: row.system_identifier,
    gappedEvents: Number(row.gapped_events),
    updatedAt: row.written_at,
    checkpoint: toCheckpoint(row),
    paused: row.paused,
  }));
}

/** What operators want of a sink. */
export interface SinkOrders {
  readonly sink: string;
  /** It takes nothing. */
  readonly paused: boolean;
  /** It goes back to an earlier place: {@link applyRewind}. */
  readonly rewinding: boolean;
  /** The replays that run. */
  readonly replays: readonly string[];
  /** Dead letters are to be handed over again. */
  readonly redriving: boolean;
}

/** Whether a rewind that was asked for means something here: the beginning is the beginning everywhere. */
function ofThisCluster(table: string): string {
  return `(${table}.rewind_cluster = ${table}.system_identifier or ${table}.rewind_snapshot::text = '3:3:')`;
}

/** What operators want of a relay's sinks, those without a checkpoint left out. */
export async function sinkOrders(
  client: Queryable,
  owner: Pick<CheckpointOwner, 'relay' | 'shard'>,
): Promise<ReadonlyMap<string, SinkOrders>> {
  const { rows } = await client.query<SinkOrders>(
    `select c.sink, c.paused_at is not null as paused, 
            c.rewind_snapshot is not null and ${ofThisCluster('c')} as rewinding,
            array(select r.replay_id::text from event_runtime.replay_part p
                    join event_runtime.replay r using (replay_id)
                   where p.finished_at is null and p.shard = c.shard and r.state = 'running'
                     and r.relay = c.relay and r.sink = c.sink) as replays,
            -- In an order that an index has: letters of webhooks may be most of what is being redriven.
            (select true from event_runtime.dead_letter d
              where d.sink = c.sink and d.relay = c.relay and d.endpoint_id is null and d.state = 'redriving'
              order by d.sink, d.relay, ${letterEntity('d')} limit 1) is not null as redriving
       from event_runtime.relay_checkpoint c where c.relay = $1 and c.shard = $2`,
    [owner.relay, owner.shard],
  );
  return new Map(rows.map((row) => [row.sink, row]));
}

/**
 * Puts a checkpoint where an operator wants it, once; from the beginning also what came with a dump.
 *
 * @returns it; undefined: nobody wants that any more, or somebody else feeds the sink
 */
export async function applyRewind(
  client: Queryable,
  { sink, owner }: { readonly sink: string; readonly owner: CheckpointOwner },
): Promise<Checkpoint | undefined> {
  const { rows } = await client.query<CheckpointRow>(
    `update event_runtime.relay_checkpoint
          set mode = 'table', lsn = '0/0', ordinal = -1, snapshot = rewind_snapshot, batch_snapshot = null,
              batch_seq = case when rewind_snapshot::text <> '3:3:' and adopting_snapshot is not null then batch_seq end,
              adopting_snapshot = case when rewind_snapshot::text = '3:3:' and floor_seq > 0
                                       then '3:3:' else adopting_snapshot end,
              adopting_since = case when rewind_snapshot::text = '3:3:' and floor_seq > 0
                                    then '-infinity' else adopting_since end,
              rewind_snapshot = null, updated_at = clock_timestamp()
        where relay = $1 and sink = $2 and shard = $3 and system_identifier = $5 and epoch = $4
          and rewind_snapshot is not null and ${ofThisCluster('relay_checkpoint')} and ${timelineSql} = $6
          and ($7::uuid is null or claim = $7)
        returning ${columns}`,
    [
      ...[owner.relay, sink, owner.shard, owner.epoch.toString(), owner.systemIdentifier, owner.timeline],
      owner.claim ?? null,
    ],
  );
  return rows[0] === undefined ? undefined : toCheckpoint(rows[0]);
}

/**
 * Goes on in the cluster that we are connected to, when checkpoints were written for another one (a dump was
 * restored, a logical upgrade). To be called with a short `lock_timeout`: emits wait while it works.
 *
 * @returns the highest `seq` that came with the dump; null when there was nothing to adopt
 */
export async function adoptCluster(
  client: Queryable,
  owner: Pick<CheckpointOwner, 'relay' | 'systemIdentifier'>,
): Promise<bigint | null> {
  const { rows } = await client.query<{ floor: string | null }>(
    'select event_runtime.relay_adopt($1, $2)::text as floor',
    [owner.relay, owner.systemIdentifier],
  );
  const floor = rows[0]?.floor;
  return floor === null || floor === undefined ? null : BigInt(floor);
}

/** Forgets a relay's checkpoints and leases; for a slot that is dropped on purpose. */
export async function forgetCheckpoints(client: Queryable, relay: string): Promise<void> {
  await client.query('delete from event_runtime.relay_checkpoint where relay = $1', [relay]);
  await client.query('delete from event_runtime.relay_lease where relay = $1', [relay]);
}

function toCheckpoint(row: CheckpointRow): Checkpoint {
  const afterSeq = BigInt(row.batch_seq ?? 0);
  return {
    mode: row.mode,
    position: { lsn: parseLsn(row.lsn), ordinal: row.ordinal },
    snapshot: Snapshot.parse(row.snapshot),
    batch: row.batch_snapshot === null ? null : { to: Snapshot.parse(row.batch_snapshot), afterSeq },
    floorSeq: BigInt(row.floor_seq),
    adoption:
      row.adopting_snapshot === null || row.adopting_since === null
        ? null
        : { snapshot: Snapshot.parse(row.adopting_snapshot), since: row.adopting_since, afterSeq },
  };
}

function fenced(sinks: string, owner: CheckpointOwner): Error {
  return runtimeError('ER1207', { detail: `Relay ${owner.relay}, sink ${sinks}, epoch ${owner.epoch}.` });
}
