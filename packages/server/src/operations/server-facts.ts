import type pg from 'pg';
import { type Platform, type PlatformFacts, platformOf, platformSql } from './platform.ts';

/** A slot of the cluster. */
export interface SlotFacts {
  readonly name: string;
  /** Standbys read those. */
  readonly physical: boolean;
  readonly active: boolean;
  readonly lost: boolean;
}

/** What a server says of itself and of the role that asks, for `doctor`. */
export interface ServerFacts {
  readonly version_number: number;
  readonly version: string;
  readonly encoding: string;
  readonly wal_level: string;
  /** In MB; -1: unlimited. */
  readonly max_slot_wal_keep_mb: number;
  readonly in_recovery: boolean;
  readonly max_slots: number;
  readonly used_slots: number;
  readonly max_walsenders: number;
  readonly used_walsenders: number;
  /** As it is written in SQL. */
  readonly role: string;
  readonly superuser: boolean;
  readonly replication: boolean;
  /** Null before PostgreSQL 18. In seconds; 0: never. */
  readonly idle_slot_timeout: number | null;
  /** Null before PostgreSQL 17. */
  readonly synchronized_slots: string | null;
  readonly slots: readonly SlotFacts[];
  /** Standbys that stream without a slot, by the name that their connection has. Not seen by every role. */
  readonly slotless_standbys: readonly string[];
  /** Milliseconds since 1970. */
  readonly clock: number;
  readonly platform: Platform;
}

const factsSql = `
select current_setting('server_version_num')::int as version_number,
       split_part(current_setting('server_version'), ' ', 1) as version,
       current_setting('server_encoding') as encoding,
       current_setting('wal_level') as wal_level,
       (select s.setting::int from pg_catalog.pg_settings s where s.name = 'max_slot_wal_keep_size') as max_slot_wal_keep_mb,
       pg_is_in_recovery() as in_recovery,
       current_setting('max_replication_slots')::int as max_slots,
       (select count(*)::int from pg_catalog.pg_replication_slots) as used_slots,
       current_setting('max_wal_senders')::int as max_walsenders,
       (select count(*)::int from pg_catalog.pg_stat_replication) as used_walsenders,
       quote_ident(current_user) as role,
       r.rolsuper as superuser,
       -- On RDS it is a role to be granted instead of an attribute.
       r.rolsuper or r.rolreplication or exists (
         select from pg_catalog.pg_roles g
          where g.rolname = 'rds_replication' and pg_has_role(current_user, g.oid, 'USAGE')) as replication,
       (select s.setting::int * case s.unit when 'min' then 60 else 1 end
          from pg_catalog.pg_settings s where s.name = 'idle_replication_slot_timeout') as idle_slot_timeout,
       (select s.setting from pg_catalog.pg_settings s where s.name = 'synchronized_standby_slots') as synchronized_slots,
       array(select jsonb_build_object('name', p.slot_name, 'physical', p.slot_type = 'physical', 'active', p.active,
                       'lost', coalesce(p.wal_status = 'lost', false) or to_jsonb(p) ->> 'invalidation_reason' is not null)
               from pg_catalog.pg_replication_slots p order by p.slot_name) as slots,
       array(select w.application_name from pg_catalog.pg_stat_replication w
              where w.state in ('streaming', 'catchup')
                and not exists (select from pg_catalog.pg_replication_slots p where p.active_pid = w.pid)
              order by 1) as slotless_standbys
  from pg_catalog.pg_roles r where r.rolname = current_user`;

/** Reads them. Needs no privilege and no schema. */
export async function readServerFacts(client: pg.Client): Promise<ServerFacts> {
  const facts = await client.query<Omit<ServerFacts, 'clock' | 'platform'>>(factsSql);
  const platform = await client.query<PlatformFacts>(platformSql);
  const clock = await client.query<{ clock: number }>(
    'select extract(epoch from clock_timestamp())::float8 * 1000 as clock',
  );
  return {
    ...(facts.rows[0] as Omit<ServerFacts, 'clock' | 'platform'>),
    clock: clock.rows[0]?.clock ?? Number.NaN,
    platform: platformOf(platform.rows[0] ?? { roles: [], settings: [] }),
  };
}
