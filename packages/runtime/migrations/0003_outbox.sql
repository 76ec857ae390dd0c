-- The outbox: append-only, the authority for what happened.

set local role event_runtime_owner;

-- All limits on lengths are emit's: only emit writes here, and PostgreSQL sets up every CHECK anew for every
-- statement (seven of them cost three times the INSERT). The one that guards tenants stays.
create table event_runtime.outbox (
  event_id uuid not null,
  -- The producing transaction (its top level). Defaults are computed in the order of the columns: the transaction
  -- has its id before seq is drawn, and both are there before recorded_at. The table reader counts on it.
  tx_id xid8 not null default pg_current_xact_id(),
  -- One by one, never cached: within an entity it grows in commit order.
  seq bigint not null generated always as identity,
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
  payload json not null, -- json, not jsonb: kept byte for byte
  recorded_at timestamptz not null default clock_timestamp(),
  primary key (event_id, recorded_at),
  constraint outbox_tenant_id_present check (tenant_id <> '')
) partition by range (recorded_at);
comment on table event_runtime.outbox is
  'Semantic events, written by event_runtime.emit in the producer''s own transaction. Never updated.';

create index outbox_tx_id_seq on event_runtime.outbox (tx_id, seq);
create index outbox_correlation on event_runtime.outbox (tenant_id, correlation_id)
  where correlation_id is not null;

-- Which event an idempotency key belongs to. Kept longer than a day's partition lives, therefore apart.
create table event_runtime.outbox_key (
  tenant_id text not null,
  idempotency_key text not null,
  event_id uuid not null,
  recorded_at timestamptz not null, -- the event's
  claimed_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, idempotency_key)
) partition by hash (tenant_id, idempotency_key);
comment on table event_runtime.outbox_key is 'Idempotency keys and the event that claimed each first.';
-- For the pruner alone, and nearly free to keep: rows come in the order of claimed_at.
create index outbox_key_claimed_at on event_runtime.outbox_key using brin (claimed_at) with (pages_per_range = 16);

do $$
begin
  for i in 0..7 loop
    execute format(
      'create table event_runtime.outbox_key_%s partition of event_runtime.outbox_key '
      'for values with (modulus 8, remainder %s)', i, i
    );
    execute format('alter table event_runtime.outbox_key_%s enable row level security', i);
    execute format('alter table event_runtime.outbox_key_%s force row level security', i);
    execute format(
      'create policy owner on event_runtime.outbox_key_%s to event_runtime_owner using (true) with check (true)', i
    );
  end loop;
end
$$;

do $$
declare
  table_name text;
begin
  foreach table_name in array array['outbox', 'outbox_key'] loop
    execute format('alter table event_runtime.%I enable row level security', table_name);
    execute format('alter table event_runtime.%I force row level security', table_name);
    -- Forced: the owner, and with it emit, needs a policy as anybody else does.
    execute format(
      'create policy owner on event_runtime.%I to event_runtime_owner using (true) with check (true)', table_name
    );
    execute format(
      'create policy service on event_runtime.%I to event_runtime_service using (true) with check (true)', table_name
    );
    -- As a subquery the tenant is read once for each statement, not for each row.
    execute format(
      'create policy tenant on event_runtime.%I for select to event_runtime_viewer '
      'using (tenant_id = (select nullif(current_setting(''event_runtime.tenant'', true), '''')))', table_name
    );
    execute format('grant select on event_runtime.%I to event_runtime_service, event_runtime_viewer', table_name);
  end loop;

  perform event_runtime.partition_create('outbox', '-infinity', date_trunc('day', now(), 'UTC'));
  perform event_runtime.partition_cover('outbox', date_trunc('day', now(), 'UTC'), 'infinity', 37);
end
$$;

-- By the migrating role: the owner role need not have CREATE on the database.
reset role;
create publication event_runtime for table event_runtime.outbox
  with (publish = 'insert', publish_via_partition_root = true);
