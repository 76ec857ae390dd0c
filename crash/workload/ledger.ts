import type pg from 'pg';
import type { OrderedReplay } from '../verdict/replays.ts';
import type { LedgerEntry } from '../verdict/verdict.ts';
import { entitiesPerTenant, tenants } from './transaction-plan.ts';

/**
 * The writers' own tables. event-runtime knows nothing of them: what was committed is read here, never from the relay
 * or its tables.
 */
export async function createLedger(database: pg.Pool): Promise<void> {
  await database.query(`
    create schema crash;
    create table crash.counter (
      tenant text not null,
      entity_key text not null,
      n int not null default 0,
      primary key (tenant, entity_key)
    ) with (fillfactor = 50);
    create table crash.ledger (
      event_id uuid primary key,
      tenant text not null,
      entity_key text not null,
      event_type text not null,
      ordinal int not null,
      sha256 text not null,
      bytes int not null
    );
    create table crash.replay (
      replay_id uuid primary key,
      sink text not null,
      event_ids uuid[] not null
    )`);
  await database.query(
    `insert into crash.counter (tenant, entity_key)
     select t.tenant, 'entity-' || e.number from unnest($1::text[]) as t (tenant), generate_series(0, $2 - 1) as e (number)`,
    [tenants, entitiesPerTenant],
  );
}

/** The next number of an entity; its row stays locked until the transaction ends. */
export async function nextOrdinal(
  client: pg.ClientBase,
  event: { readonly tenant: string; readonly entityKey: string },
): Promise<number> {
  const { rows } = await client.query<{ n: number }>({
    name: 'crash_next',
    text: 'update crash.counter set n = n + 1 where tenant = $1 and entity_key = $2 returning n',
    values: [event.tenant, event.entityKey],
  });
  const row = rows[0];
  if (row === undefined) throw new Error(`no counter for ${event.tenant} ${event.entityKey}`);
  return row.n;
}

export async function record(client: pg.ClientBase, entry: LedgerEntry): Promise<void> {
  await client.query({
    name: 'crash_record',
    text: `
      insert into crash.ledger (event_id, tenant, entity_key, event_type, ordinal, sha256, bytes)
      values ($1, $2, $3, $4, $5, $6, $7)`,
    values: [
      ...[entry.eventId, entry.tenant, entry.entityKey, entry.eventType],
      ...[entry.ordinal, entry.sha256, entry.bytes],
    ],
  });
}

/** Within the transaction that makes the replay. */
export async function recordReplay(client: pg.ClientBase, replay: OrderedReplay): Promise<void> {
  await client.query('insert into crash.replay (replay_id, sink, event_ids) values ($1, $2, $3::uuid[])', [
    replay.id,
    replay.sink,
    replay.eventIds,
  ]);
}

/** Every replay that was made. */
export async function readReplays(database: pg.Pool): Promise<OrderedReplay[]> {
  const { rows } = await database.query<OrderedReplay>(
    'select replay_id as id, sink, event_ids::text[] as "eventIds" from crash.replay',
  );
  return rows;
}

/** Every event that was committed. */
export async function readLedger(database: pg.Pool): Promise<LedgerEntry[]> {
  const { rows } = await database.query<LedgerEntry>(`
    select event_id as "eventId", tenant, entity_key as "entityKey", event_type as "eventType", ordinal, sha256,
           bytes
    from crash.ledger
    order by tenant, entity_key, ordinal`);
  return rows;
}
