import { runtimeError } from '../errors/codes.ts';
import { withSettings } from '../log/table-page.ts';

/** Rows of the outbox that carry transaction ids of another cluster, which mean nothing in this one. */
export interface ForeignRows {
  /** Enabled subscriptions that write into the outbox. */
  readonly subscriptions: readonly string[];
  /** Whether rows that no relay is going to adopt are from a transaction that this cluster has not begun yet. */
  readonly future: boolean;
}

/** The newest rows tell: whoever replicates into the outbox has just done so. */
const looked = 1_000;

const foreignSql = `
select array(select s.subname::text from pg_catalog.pg_subscription s
              where s.subenabled and s.subdbid = (select d.oid from pg_catalog.pg_database d
                                                   where d.datname = current_database())
                and exists (select from pg_catalog.pg_subscription_rel r
                             where r.srsubid = s.oid
                               and r.srrelid in (select t.relid from pg_partition_tree('event_runtime.outbox') t))
              order by 1) as subscriptions,
       exists (select from (select o.tx_id from event_runtime.outbox o
                             where o.seq > (select k.floor_seq from event_runtime.relay_cluster k, pg_control_system() c
                                             where k.system_identifier = c.system_identifier::text)
                             order by o.seq desc limit ${looked}) newest
                where newest.tx_id >= pg_snapshot_xmax(pg_current_snapshot())) as future`;

/** Looks for them. As a role that may read the outbox. */
export async function describeForeignRows(client: {
  query(text: string): Promise<unknown>;
}): Promise<ForeignRows> {
  // A message of several statements has several results.
  const results = (await client.query(withSettings(foreignSql))) as ReadonlyArray<{
    readonly rows: unknown[];
  }>;
  return results.at(-1)?.rows[0] as ForeignRows;
}

/**
 * A snapshot of this cluster says nothing of such a row: it would be delivered never, or too early. What was there
 * before the relay's first contact is adopted; what comes afterwards cannot be told from the cluster's own.
 *
 * @throws ER1214
 */
export async function refuseForeignRows(client: Parameters<typeof describeForeignRows>[0]): Promise<void> {
  const { subscriptions, future } = await describeForeignRows(client);
  if (subscriptions.length > 0) {
    throw runtimeError('ER1214', { detail: `Subscription ${subscriptions.join(', ')} writes into it.` });
  }
  if (future) throw runtimeError('ER1214', { detail: 'Its newest rows are from transactions yet to come.' });
}
