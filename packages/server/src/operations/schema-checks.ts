import { describeForeignRows, describePublication, schemaStatus } from '@event-runtime/runtime';
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
  ('consumer_idempotency', 'select, insert, delete'), ('dead_letter', 'select, insert, update, delete'),
  ('webhook_application', 'select, insert, update, delete'), ('webhook_endpoint', 'select, insert, update, delete'),
  ('webhook_subscriptions', 'select, insert, update, delete'), ('webhook_delivery', 'select, insert, update, delete'),
  ('webhook_attempt', 'select, insert')`;

const functionRights = `('tick()'), ('relay_adopt(text, text)'), ('partition_list(text)'), ('uuid_v7()'),
  ('dead_letter_group(text, uuid, text, text, text)')`;

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

const publicationFix =
  'DROP PUBLICATION event_runtime; CREATE PUBLICATION event_runtime FOR TABLE event_runtime.outbox ' +
  "WITH (publish = 'insert', publish_via_partition_root = true);  -- a relay that runs goes on from the table";

/** Whether the publication carries every insert into the outbox, whole and under the name of the root. */
export async function publicationCheck(client: pg.Client): Promise<Check> {
  const found = await describePublication(client, 'event_runtime');
  const name = 'publication event_runtime';
  if (found === undefined) {
    return fail({
      code: 'ER1204',
      name,
      seen: 'there is none',
      fix: publicationFix.replace(/^DROP[^;]*; /, ''),
    });
  }
  const { problems, others } = found;
  if (problems.length > 0)
    return fail({ code: 'ER1303', name, seen: problems.join('; '), fix: publicationFix });
  if (others.length > 0) {
    const seen = `it also carries ${others.join(', ')}`;
    return warn({ code: 'ER1303', name, seen, fix: publicationFix });
  }
  return ok({ code: 'ER1303', name, seen: 'inserts into the outbox, via its root' });
}

/** Whether every row of the outbox is of this cluster, or was adopted. */
export async function foreignRowsCheck(client: pg.Client): Promise<Check> {
  const { subscriptions, future } = await describeForeignRows(client);
  const about = { code: 'ER1214', name: 'rows of other clusters' } as const;
  if (subscriptions.length > 0) {
    const fix = subscriptions
      .map((name) => `ALTER SUBSCRIPTION ${client.escapeIdentifier(name)} DISABLE;`)
      .join(' ');
    return fail({ ...about, seen: `subscription ${subscriptions.join(', ')} writes into the outbox`, fix });
  }
  if (future) return fail({ ...about, seen: 'the newest rows are from transactions yet to come' });
  return ok({ ...about, seen: 'none' });
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
