import type pg from 'pg';

/**
 * Gives the outbox a day that retention is to drop: with one event that every sink has had, to go by its transaction
 * id, and that is in no part of the WAL that is read, for its partition is not attached when it is written.
 *
 * Does nothing while a crash has left the partitions incomplete: the product's next start mends them.
 */
export async function addExpiredDay(pool: pg.Pool): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query(
      "begin; set local role event_runtime_owner; set local timezone = 'UTC'; set local lock_timeout = '10s'",
    );
    await client.query(addDay);
    await client.query('commit');
  } catch (cause) {
    await client.query('rollback');
    const nameIsTaken = '42P07';
    if ((cause as { readonly code?: unknown }).code !== nameIsTaken) throw cause;
  } finally {
    client.release();
  }
}

/** The days of retention are 30; each expired day lies before the one that was added last. */
const addDay = `
do $$
declare
  covered timestamptz;
  day timestamptz;
  leaf text;
begin
  select substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \\(''([^'']+)''\\)')::timestamptz into covered
    from pg_class c join pg_inherits i on i.inhrelid = c.oid
   where c.oid = to_regclass('event_runtime.outbox_underflow') and not i.inhdetachpending;
  if covered is null then
    return;
  end if;
  day := least(covered - interval '1 day', date_trunc('day', now()) - interval '40 days');
  alter table event_runtime.outbox detach partition event_runtime.outbox_underflow;
  drop table event_runtime.outbox_underflow;
  perform event_runtime.partition_create('outbox', '-infinity', day);
  leaf := event_runtime.partition_create('outbox', day, day + interval '1 day');
  if day + interval '1 day' < covered then
    perform event_runtime.partition_create('outbox', day + interval '1 day', covered);
  end if;
  execute format('alter table event_runtime.outbox detach partition event_runtime.%I', leaf);
  execute format(
    'insert into event_runtime.%I (event_id, tx_id, seq, tenant_id, event_type, payload, recorded_at)
     values (gen_random_uuid(), ''3'', 0, ''acme'', ''crash.expired'', ''{}'', %L)', leaf, day);
  execute format(
    'alter table event_runtime.outbox attach partition event_runtime.%I for values from (%L) to (%L)',
    leaf, day, day + interval '1 day');
end
$$`;
