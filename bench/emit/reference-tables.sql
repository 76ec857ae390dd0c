-- What a team would write for itself: the same columns, defaults, partitions and indexes as event_runtime.outbox,
-- without its row-level security, its functions and its CHECK.

create table business_claim (
  claim_id text primary key,
  state text not null,
  updated_at timestamptz not null default now()
);

create table plain_outbox (
  event_id uuid not null default uuidv7(),
  seq bigint not null generated always as identity,
  tx_id xid8 not null default pg_current_xact_id(),
  tenant_id text not null,
  ecosystem text,
  event_type text not null,
  event_version int not null default 1,
  entity_key text,
  idempotency_key text,
  correlation_id text,
  causation_id text,
  source_service text,
  traceparent text,
  headers json,
  payload json not null,
  recorded_at timestamptz not null default clock_timestamp(),
  primary key (event_id, recorded_at)
) partition by range (recorded_at);
create index plain_outbox_tx_id_seq on plain_outbox (tx_id, seq);
create index plain_outbox_seq on plain_outbox (seq);
create index plain_outbox_correlation on plain_outbox (tenant_id, correlation_id) where correlation_id is not null;

-- A unique key over days cannot be in a table that is partitioned by day: once as a table of its own, ...
create table plain_key (
  tenant_id text not null,
  idempotency_key text not null,
  event_id uuid not null,
  recorded_at timestamptz not null,
  claimed_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, idempotency_key)
) partition by hash (tenant_id, idempotency_key);
create index plain_key_claimed_at on plain_key using brin (claimed_at) with (pages_per_range = 16);

-- ... and once the simplest way: one table that is not partitioned, with the unique key in it. It keeps less of
-- a promise (old events can only be deleted row by row, and the key goes with its event).
create table unique_outbox (
  event_id uuid not null default uuidv7(),
  seq bigint not null generated always as identity,
  tx_id xid8 not null default pg_current_xact_id(),
  tenant_id text not null,
  ecosystem text,
  event_type text not null,
  event_version int not null default 1,
  entity_key text,
  idempotency_key text,
  correlation_id text,
  causation_id text,
  source_service text,
  traceparent text,
  headers json,
  payload json not null,
  recorded_at timestamptz not null default clock_timestamp(),
  primary key (event_id, recorded_at)
);
create index unique_outbox_tx_id_seq on unique_outbox (tx_id, seq);
create index unique_outbox_seq on unique_outbox (seq);
create index unique_outbox_correlation on unique_outbox (tenant_id, correlation_id)
  where correlation_id is not null;
create unique index unique_outbox_key on unique_outbox (tenant_id, idempotency_key);

do $$
declare
  leaf record;
begin
  for i in 0..7 loop
    execute format('create table plain_key_%s partition of plain_key for values with (modulus 8, remainder %s)', i, i);
  end loop;
  -- As many partitions, with the same bounds.
  for leaf in
    select c.relname, pg_get_expr(c.relpartbound, c.oid) as bound
      from pg_inherits i
      join pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'event_runtime.outbox'::regclass
  loop
    execute format('create table %I partition of plain_outbox %s', 'plain_' || leaf.relname, leaf.bound);
  end loop;
end
$$;
