import type { ClientBase, Pool } from 'pg';
import { runtimeError } from '../errors/codes.ts';

/**
 * The timeline that a primary writes, as int4. It changes when a standby is promoted and when a backup is restored;
 * the control file (`pg_control_checkpoint`) says so only after the next checkpoint. An error on a standby.
 */
export const timelineSql = "('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int";

/** A primary, and how its log goes on. */
export interface ServerLog {
  /** `system_identifier` of the cluster. */
  readonly systemIdentifier: string;
  readonly timeline: number;
}

type Queryable = Pick<ClientBase | Pool, 'query'>;

/** The server that the connection leads to. @throws ER1208 it is a standby */
export async function readServerLog(client: Queryable): Promise<ServerLog> {
  const { rows } = await client.query<{ id: string; timeline: number | null }>(
    `select c.system_identifier::text as id, case when not pg_is_in_recovery() then ${timelineSql} end as timeline
       from pg_control_system() c`,
  );
  const { id = '', timeline = null } = rows[0] ?? {};
  if (timeline === null) throw runtimeError('ER1208');
  return { systemIdentifier: id, timeline };
}

/**
 * What is in memory was read from one server, and says nothing on another: after a failover positions, transaction
 * ids and `seq`s are used again.
 *
 * @throws ER1208 the connection leads to a standby, ER1210 to a server that was promoted or restored since
 */
export async function checkTimeline(client: Queryable, expected: Pick<ServerLog, 'timeline'>): Promise<void> {
  const { timeline } = await readServerLog(client);
  if (timeline === expected.timeline) return;
  throw runtimeError('ER1210', { detail: `Timeline ${timeline}, not ${expected.timeline}.` });
}
