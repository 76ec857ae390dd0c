import { type SlotReaderRow, slotReaderColumns } from '../../replication/slot-reader.ts';
import { type ReplayWait, replayWaitSql, troubleSql } from '../replay/replay-waits.ts';

export interface ServerRow {
  readonly at: string;
  readonly version: string;
  readonly version_number: number;
  readonly wal_level: string;
  readonly max_slot_wal_keep_mb: string;
  readonly in_recovery: boolean;
  readonly system_identifier: string;
  /** Where the log stands. Null on a standby. */
  readonly lsn: string | null;
}

/** The server. Where the log stands is asked of a primary only: a standby refuses to answer. */
export const serverSql: string = `
select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at,
       split_part(current_setting('server_version'), ' ', 1) as version,
       current_setting('server_version_num')::int as version_number,
       current_setting('wal_level') as wal_level,
       (select s.setting from pg_catalog.pg_settings s where s.name = 'max_slot_wal_keep_size') as max_slot_wal_keep_mb,
       pg_is_in_recovery() as in_recovery,
       (select c.system_identifier::text from pg_catalog.pg_control_system() c) as system_identifier,
       case when pg_is_in_recovery() then null else pg_current_wal_lsn()::text end as lsn`;

export interface SlotRow extends SlotReaderRow {
  readonly database: string | null;
  readonly here: boolean;
  readonly plugin: string | null;
  readonly active: boolean;
  readonly wal_status: 'reserved' | 'extended' | 'unreserved' | 'lost' | null;
  readonly safe_wal_bytes: string | null;
  readonly confirmed: boolean;
  readonly invalidation_reason: string | null;
  readonly failover: boolean | null;
  readonly restart_lag_bytes: string | null;
  readonly flush_lag_bytes: string | null;
  readonly catalog_xmin_age: number | null;
}

/** One slot, by name; and where the log stands. Through jsonb, because some columns came with PostgreSQL 17. */
export const slotSql: string = `
select s.database, coalesce(s.database = current_database(), false) as here, s.plugin, s.active,
       s.wal_status, s.safe_wal_size::text as safe_wal_bytes, s.confirmed_flush_lsn is not null as confirmed,
       to_jsonb(s) ->> 'invalidation_reason' as invalidation_reason,
       (to_jsonb(s) ->> 'failover')::boolean as failover,
       -- greatest() passes over a null.
       case when $2::pg_lsn - s.restart_lsn < 0 then 0 else $2::pg_lsn - s.restart_lsn end::text as restart_lag_bytes,
       case when $2::pg_lsn - s.confirmed_flush_lsn < 0 then 0 else $2::pg_lsn - s.confirmed_flush_lsn end::text
         as flush_lag_bytes,
       age(s.catalog_xmin) as catalog_xmin_age,
       ${slotReaderColumns}
  from pg_catalog.pg_replication_slots s
  left join pg_catalog.pg_stat_activity a on a.pid = s.active_pid
 where s.slot_name = $1`;

export interface LeaseReportRow {
  readonly sink: string;
  readonly shard: number;
  readonly holder_name: string;
  readonly remaining_seconds: number;
}

/** The leases of a relay that have not expired. */
export const leasesSql: string = `
select l.sink, l.shard, l.holder_name,
       extract(epoch from l.expires_at - clock_timestamp())::float8 as remaining_seconds
  from event_runtime.relay_lease l
 where l.relay = $1 and l.expires_at > clock_timestamp()
 order by l.sink, l.shard`;

export interface PartitionRow {
  readonly table: string;
  readonly days_ahead: number;
}

/** Days from now on that have a partition of their own. */
export const partitionsSql: string = `
select t.name as table,
       (count(*) filter (where p.upper_bound > now() and p.upper_bound = p.lower_bound + interval '1 day'))::int as days_ahead
  from unnest($1::text[]) as t(name)
 cross join lateral event_runtime.partition_list(t.name) p
 group by t.name order by t.name`;

export interface DeadLetterRow {
  readonly sink: string;
  readonly count: number;
}

/** Dead letters of each sink, no further than the cap: one sink's do not hide another's. */
export const deadLettersSql: string = `
with recursive named(sink) as (
  (select l.sink from event_runtime.dead_letter l order by l.sink limit 1)
  union all
  select (select l.sink from event_runtime.dead_letter l where l.sink > n.sink order by l.sink limit 1)
    from named n where n.sink is not null
)
select n.sink, c.count
  from named n
 cross join lateral (
   select count(*)::int as count from (select from event_runtime.dead_letter l where l.sink = n.sink limit $1) x
 ) c
 where n.sink is not null order by n.sink`;

export interface DeliveriesRow {
  readonly pending: number;
  readonly oldest_seconds: number | null;
}

/**
 * Pending deliveries, no further than the cap. Ids are drawn in the order of creation, near enough, and have an index; the
 * time of creation has none. Those of dead letters that are redriven are below 0, and have an order of their own.
 */
export const deliveriesSql: string = `
select (select count(*)::int from (select 1 from event_runtime.webhook_delivery d limit $1) c) as pending,
       (select max(greatest(extract(epoch from clock_timestamp() - o.created_at), 0))::float8
          from ((select d.created_at from event_runtime.webhook_delivery d
                  where d.delivery_id < 0 order by d.delivery_id limit 1)
                union all
                (select d.created_at from event_runtime.webhook_delivery d
                  where d.delivery_id > 0 order by d.delivery_id limit 1)) o) as oldest_seconds`;

export interface ReplayReportRow {
  readonly id: string;
  readonly sink: string;
  readonly remaining: number;
  readonly trouble: string | null;
  readonly waits_for: ReplayWait | null;
  readonly still_seconds: number;
}

/** The oldest replays of a relay that run, no more than the cap: there is an index of what is not finished. */
export const runningReplaysSql: string = `
with running as materialized (
  select r.replay_id, r.relay, r.sink, r.state, r.total, r.shards, r.changed_at
    from event_runtime.replay r
   where r.relay = $1 and r.state = 'running'
     and r.replay_id in (select p.replay_id from event_runtime.replay_part p where p.finished_at is null)
   order by r.replay_id limit $2
)
select r.replay_id as id, r.sink, greatest(r.total - p.done, 0)::float8 as remaining, p.trouble,
       ${replayWaitSql} as waits_for,
       greatest(extract(epoch from clock_timestamp() - greatest(r.changed_at, p.moved_at)), 0)::float8 as still_seconds
  from running r
 cross join lateral (
   select sum(x.delivered + x.rejected) as done, ${troubleSql('x')} as trouble,
          min(x.updated_at) filter (where x.finished_at is null) as moved_at
     from event_runtime.replay_part x where x.replay_id = r.replay_id
 ) p
 order by r.replay_id`;
