import { schemaStatus } from '@event-runtime/runtime';
import type pg from 'pg';
import { type Check, fail, ok, warn } from './check.ts';

/** Whether the schema is one that this program can use. */
export async function schemaCheck(client: pg.Client): Promise<Check> {
  const { state, version, known, drifted } = await schemaStatus(client);
  const seen = `version ${version}, this program brings ${known}`;
  const name = 'schema';
  if (state === 'missing') return fail({ code: 'ER1101', name, seen: 'there is none' });
  if (state === 'behind') return fail({ code: 'ER1101', name, seen });
  if (state === 'incompatible') return fail({ code: 'ER1102', name, seen });
  return drifted.length === 0
    ? ok({ code: 'ER1101', name, seen })
    : warn({ code: 'ER1103', name, seen: `${seen}; edited: ${drifted.join(', ')}` });
}

/** What the service role was granted, by the migrations: the tables, and what may be done with each. */
const tableRights = `
  ('schema_migration', 'select'), ('outbox', 'select'), ('outbox_key', 'select'), ('tick', 'select, delete'), ('relay_cluster', 'select'),
  ('relay_checkpoint', 'select, insert, update, delete'), ('relay_lease', 'select, insert, update, delete'),
  ('consumer_idempotency', 'select, insert, delete'), ('dead_letter', 'select, insert, delete'),
  ('webhook_application', 'select, insert, update, delete'), ('webhook_endpoint', 'select, insert, update, delete'),
  ('webhook_subscriptions', 'select, insert, update, delete'), ('webhook_delivery', 'select, insert, update, delete'),
  ('webhook_attempt', 'select, insert')`;

const functionRights = `('tick()'), ('relay_adopt(text, text)'), ('partition_list(text)'), ('uuid_v7()')`;

/**
 * What the asking role lacks. Row-level security lets in who is a member of the service role; a right on a table alone
 * would show no row. From PostgreSQL 16 on, a member may not have the right to act as the role.
 */
const missingRightsSql = `
select 'USAGE on schema event_runtime' as lacks
 where not has_schema_privilege('event_runtime', 'usage')
union all
select r.may || ' on ' || t.name
  from (values ${tableRights}) as t(name, rights)
 cross join lateral regexp_split_to_table(t.rights, ', ') as r(may)
 where has_schema_privilege('event_runtime', 'usage')
   and not has_table_privilege('event_runtime.' || t.name, r.may)
union all
select 'EXECUTE on ' || f.name from (values ${functionRights}) as f(name)
 where has_schema_privilege('event_runtime', 'usage')
   and not has_function_privilege('event_runtime.' || f.name, 'execute')
union all
select 'USAGE on sequence relay_epoch'
 where has_schema_privilege('event_runtime', 'usage')
   and not has_sequence_privilege('event_runtime.relay_epoch', 'usage')
union all
select 'the rights of role event_runtime_service' where not pg_has_role('event_runtime_service', 'usage')
union all
select 'SET ROLE event_runtime_owner' where not pg_has_role('event_runtime_owner', $1)`;

/** Whether the role that asks may do what the service does. */
export async function rightsCheck(
  client: pg.Client,
  server: { readonly role: string; readonly version_number: number },
): Promise<Check> {
  const { rows } = await client.query<{ lacks: string }>(missingRightsSql, [
    server.version_number < 160_000 ? 'member' : 'set',
  ]);
  const about = { code: 'ER1302', name: 'rights' } as const;
  if (rows.length === 0) return ok({ ...about, seen: `${server.role} has them all` });
  const lacking = rows.map(({ lacks }) => lacks);
  const shown = lacking.slice(0, 5).join('; ') + (lacking.length > 5 ? `; ${lacking.length - 5} more` : '');
  const fix = `GRANT event_runtime_service, event_runtime_owner TO ${server.role};`;
  return fail({ ...about, seen: `${server.role} lacks ${shown}`, fix });
}

interface PublicationRow {
  readonly inserts: boolean;
  readonly via_root: boolean;
  readonly has_outbox: boolean;
  readonly others: readonly string[];
  readonly row_filter: string | null;
  readonly missing_columns: readonly string[];
}

const publicationSql = `
select p.pubinsert as inserts, p.pubviaroot as via_root, o.tablename is not null as has_outbox,
       o.rowfilter as row_filter,
       array(select t.schemaname || '.' || t.tablename from pg_catalog.pg_publication_tables t
              where t.pubname = p.pubname and (t.schemaname, t.tablename) <> ('event_runtime', 'outbox')
              order by 1 limit 5) as others,
       array(select a.attname::text from pg_catalog.pg_attribute a
              where a.attrelid = 'event_runtime.outbox'::regclass and a.attnum > 0 and not a.attisdropped
                and o.tablename is not null and not a.attname = any (o.attnames)) as missing_columns
  from pg_catalog.pg_publication p
  left join pg_catalog.pg_publication_tables o
    on o.pubname = p.pubname and o.schemaname = 'event_runtime' and o.tablename = 'outbox'
 where p.pubname = 'event_runtime'`;

const publicationFix =
  'DROP PUBLICATION event_runtime; CREATE PUBLICATION event_runtime FOR TABLE event_runtime.outbox ' +
  "WITH (publish = 'insert', publish_via_partition_root = true);  -- with the relay stopped and its slot dropped";

/** Whether the publication carries every insert into the outbox, whole and under the name of the root. */
export async function publicationCheck(client: pg.Client): Promise<Check> {
  const { rows } = await client.query<PublicationRow>(publicationSql);
  const row = rows[0];
  const name = 'publication event_runtime';
  if (row === undefined) {
    return fail({
      code: 'ER1204',
      name,
      seen: 'there is none',
      fix: publicationFix.replace(/^DROP[^;]*; /, ''),
    });
  }
  const wrong = [
    row.has_outbox ? '' : 'event_runtime.outbox is not in it',
    row.inserts ? '' : 'it does not publish inserts',
    row.via_root ? '' : 'publish_via_partition_root is off',
    row.row_filter === null ? '' : `it leaves out rows: ${row.row_filter}`,
    row.missing_columns.length === 0 ? '' : `it leaves out ${row.missing_columns.join(', ')}`,
  ].filter((text) => text !== '');
  if (wrong.length > 0) return fail({ code: 'ER1303', name, seen: wrong.join('; '), fix: publicationFix });
  if (row.others.length > 0) {
    return warn({
      code: 'ER1303',
      name,
      seen: `it also carries ${row.others.join(', ')}`,
      fix: publicationFix,
    });
  }
  return ok({ code: 'ER1303', name, seen: 'inserts into the outbox, via its root' });
}

interface OldRow {
  readonly who: string;
  readonly seconds: number;
  readonly fix: string;
}

/** Who keeps a transaction open: in a session (what others run is hidden from who has no right to see it), or prepared. */
const oldTransactionsSql = `
select concat_ws(' ', 'process', a.pid, a.usename, a.application_name, a.state) as who,
       extract(epoch from clock_timestamp() - a.xact_start)::float8 as seconds,
       format('SELECT pg_terminate_backend(%s);', a.pid) as fix
  from pg_catalog.pg_stat_activity a
 where a.xact_start is not null and a.pid <> pg_backend_pid() and a.backend_type = 'client backend'
   and a.datname = current_database()
union all
select concat_ws(' ', 'prepared', quote_literal(x.gid), x.owner),
       extract(epoch from clock_timestamp() - x.prepared)::float8,
       format('ROLLBACK PREPARED %L;  -- or COMMIT PREPARED', x.gid)
  from pg_catalog.pg_prepared_xacts x
 where x.database = current_database()
 order by seconds desc limit 20`;

/** Whether a transaction has been open for longer than so many seconds. */
export async function oldTransactionCheck(client: pg.Client, mostSeconds: number): Promise<Check> {
  const { rows } = await client.query<OldRow>(oldTransactionsSql);
  const old = rows.filter(({ seconds }) => seconds > mostSeconds);
  const about = { code: 'ER1310', name: 'open transactions' } as const;
  const oldest = old[0];
  if (oldest === undefined) return ok({ ...about, seen: `none for longer than ${mostSeconds} s` });
  const more = old.length > 1 ? `, and ${old.length - 1} more` : '';
  return warn({
    ...about,
    seen: `${oldest.who} for ${Math.round(oldest.seconds)} s${more}`,
    fix: oldest.fix,
  });
}
