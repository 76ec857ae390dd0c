import { type AttachedTable, attachedTables } from '@event-runtime/runtime';
import type pg from 'pg';

/** What `uninstall` would remove, and what stands in its way. */
export interface UninstallPlan {
  /** Slots of this database that are the relay's: the configured one, and those that bear the name of a relay. */
  readonly slots: ReadonlyArray<{ readonly name: string; readonly active: boolean }>;
  readonly publication: boolean;
  readonly schema: boolean;
  /** Tables of others whose rows become events; they stay, without our trigger. */
  readonly tables: ReadonlyArray<Pick<AttachedTable, 'table' | 'functionName'>>;
  /** Rows of the outbox, as estimated; they go with the schema. */
  readonly events: number;
  /** Roles that go, and who loses them. */
  readonly roles: ReadonlyArray<{ readonly name: string; readonly members: readonly string[] }>;
  /** Roles that stay, because another database's objects belong to them or were granted to them. */
  readonly keptRoles: readonly string[];
  /** `host:pid` of replicas that hold a lease, or were alive a moment ago. */
  readonly running: readonly string[];
  /** Objects outside of the schema that stand on it. */
  readonly dependents: readonly string[];
}

const ourRoles = [
  'event_runtime_owner',
  'event_runtime_service',
  'event_runtime_producer',
  'event_runtime_viewer',
];

/** Looks, and changes nothing. */
export async function planUninstall(client: pg.Client, configuredSlot: string): Promise<UninstallPlan> {
  const there = await client.query<{ schema: boolean; publication: boolean; leases: boolean }>(
    `select to_regnamespace('event_runtime') is not null as schema,
            exists (select from pg_catalog.pg_publication p where p.pubname = 'event_runtime') as publication,
            to_regclass('event_runtime.relay_lease') is not null as leases`,
  );
  const { schema = false, publication = false, leases = false } = there.rows[0] ?? {};
  const relays = leases ? await names(client, relaysSql) : [];
  const running = leases ? await names(client, runningSql) : [];
  const slots = await client.query<{ name: string; active: boolean }>(
    `select s.slot_name::text as name, s.active from pg_catalog.pg_replication_slots s
      where s.database = current_database() and s.plugin = 'pgoutput' and s.slot_name = any ($1::text[])
      order by 1`,
    [[configuredSlot, ...relays]],
  );
  const roles = await client.query<{ name: string; members: string[]; elsewhere: boolean }>(rolesSql, [
    ourRoles,
  ]);
  const gone = roles.rows.filter(({ elsewhere }) => !elsewhere);
  return {
    slots: slots.rows,
    publication,
    schema,
    tables: (await attachedTables(client)).map(({ table, functionName }) => ({ table, functionName })),
    events: schema ? await estimatedEvents(client) : 0,
    roles: gone.map(({ name, members }) => ({ name, members })),
    keptRoles: roles.rows.filter(({ elsewhere }) => elsewhere).map(({ name }) => name),
    running,
    dependents: schema ? await names(client, dependentsSql) : [],
  };
}

const relaysSql = `
select c.relay as name from event_runtime.relay_checkpoint c
union select l.relay from event_runtime.relay_lease l order by 1`;

const runningSql = `
select distinct l.holder_name as name from event_runtime.relay_lease l where l.expires_at > clock_timestamp() order by 1`;

/** Of pg_shdepend, what is of this database goes with the schema; what is of another one stays, and needs the role. */
const rolesSql = `
select r.rolname::text as name,
       array(select m.rolname::text from pg_catalog.pg_auth_members a join pg_catalog.pg_roles m on m.oid = a.member
              where a.roleid = r.oid and m.rolname <> all ($1::text[]) group by m.rolname order by m.rolname) as members,
       exists (select from pg_catalog.pg_shdepend d
                where d.refclassid = 'pg_authid'::regclass and d.refobjid = r.oid and d.dbid <> 0
                  and d.dbid <> (select b.oid from pg_catalog.pg_database b where b.datname = current_database()))
         as elsewhere
  from pg_catalog.pg_roles r where r.rolname = any ($1::text[]) order by 1`;

/**
 * Views and foreign keys, which DROP SCHEMA ... CASCADE would take along without asking; and what somebody made as one of
 * our roles, which would go with the role.
 */
const dependentsSql = `
select distinct format('view %s', v.oid::regclass) as name
  from pg_catalog.pg_class c
  join pg_catalog.pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid
   and d.classid = 'pg_rewrite'::regclass
  join pg_catalog.pg_rewrite w on w.oid = d.objid
  join pg_catalog.pg_class v on v.oid = w.ev_class
 where c.relnamespace = to_regnamespace('event_runtime') and v.relnamespace <> c.relnamespace
union
select format('foreign key %s of %s', quote_ident(k.conname), k.conrelid::regclass)
  from pg_catalog.pg_constraint k
  join pg_catalog.pg_class c on c.oid = k.confrelid
  join pg_catalog.pg_class f on f.oid = k.conrelid
 where k.contype = 'f' and c.relnamespace = to_regnamespace('event_runtime') and f.relnamespace <> c.relnamespace
union
select pg_describe_object(d.classid, d.objid, d.objsubid)
  from pg_catalog.pg_shdepend d
  join pg_catalog.pg_roles r on r.oid = d.refobjid and r.rolname ~ '^event_runtime_(owner|service|producer|viewer)$'
  join pg_catalog.pg_database b on b.oid = d.dbid and b.datname = current_database()
 cross join lateral pg_identify_object(d.classid, d.objid, d.objsubid) i
 where d.refclassid = 'pg_authid'::regclass and d.deptype = 'o' and d.classid <> 'pg_default_acl'::regclass
   and i.identity <> 'event_runtime'
   and i.schema is distinct from 'event_runtime' and i.identity !~ '^event_runtime\\.'
 order by 1`;

async function names(client: pg.Client, sql: string): Promise<string[]> {
  return (await client.query<{ name: string }>(sql)).rows.map(({ name }) => name);
}

async function estimatedEvents(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ events: number }>(
    `select coalesce(sum(greatest(c.reltuples, s.n_live_tup, 0)), 0)::float8 as events
       from pg_catalog.pg_inherits i
       join pg_catalog.pg_class c on c.oid = i.inhrelid
       left join pg_catalog.pg_stat_all_tables s on s.relid = c.oid
      where i.inhparent = to_regclass('event_runtime.outbox')`,
  );
  return Math.round(rows[0]?.events ?? 0);
}
