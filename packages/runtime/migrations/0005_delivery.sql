-- What follows the outbox: the inbox, dead letters, webhooks.

set local role event_runtime_owner;

-- The inbox. By the event's own day, not by the day of processing: so the key stays unique.
create table event_runtime.consumer_idempotency (
  consumer text not null,
  event_id uuid not null,
  recorded_at timestamptz not null, -- the event's
  processed_at timestamptz not null default clock_timestamp(),
  primary key (consumer, event_id, recorded_at)
) partition by range (recorded_at);
comment on table event_runtime.consumer_idempotency is
  'The inbox: which consumer has processed which event. Partitioned by the day of the event.';

create table event_runtime.dead_letter (
  dead_letter_id uuid primary key default event_runtime.uuid_v7(),
  tenant_id text not null check (tenant_id <> ''),
  ecosystem text,
  sink text not null,
  endpoint_id uuid,
  event_id uuid not null,
  event_recorded_at timestamptz not null,
  seq bigint not null,
  entity_key text,
  event_type text not null,
  reason_code text not null,
  reason text not null,
  attempts int not null,
  payload json not null,
  headers json,
  first_failed_at timestamptz,
  dead_at timestamptz not null default clock_timestamp()
);
comment on table event_runtime.dead_letter is 'Events that a sink gave up on, with payload and reason.';
create index dead_letter_tenant on event_runtime.dead_letter (tenant_id, dead_at);
create index dead_letter_event on event_runtime.dead_letter (event_id);

create table event_runtime.webhook_application (
  application_id uuid primary key default event_runtime.uuid_v7(),
  tenant_id text not null unique check (tenant_id <> ''),
  name text not null,
  created_at timestamptz not null default clock_timestamp()
);
comment on table event_runtime.webhook_application is 'A tenant that receives webhooks.';

create table event_runtime.webhook_endpoint (
  endpoint_id uuid primary key default event_runtime.uuid_v7(),
  tenant_id text not null check (tenant_id <> ''),
  application_id uuid not null references event_runtime.webhook_application on delete cascade,
  url text not null check (length(url) between 1 and 2000),
  ordering text not null default 'entity' check (ordering in ('entity', 'endpoint', 'none')),
  secret bytea not null, -- encrypted before it comes here
  state text not null default 'enabled' check (state in ('enabled', 'disabled')),
  disabled_reason text,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
comment on table event_runtime.webhook_endpoint is 'A URL that a tenant receives events at.';
create index webhook_endpoint_tenant on event_runtime.webhook_endpoint (tenant_id);
create index webhook_endpoint_application on event_runtime.webhook_endpoint (application_id);

create table event_runtime.webhook_subscriptions (
  endpoint_id uuid not null references event_runtime.webhook_endpoint on delete cascade,
  tenant_id text not null check (tenant_id <> ''),
  event_type text not null check (event_type <> ''), -- a glob: github.*
  primary key (endpoint_id, event_type)
);
comment on table event_runtime.webhook_subscriptions is 'Which event types an endpoint receives.';

-- A queue: pending rows only; a delivered row is deleted. Room in each page and an eager vacuum keep it
-- small under constant change.
create table event_runtime.webhook_delivery (
  delivery_id bigint generated always as identity primary key,
  tenant_id text not null check (tenant_id <> ''),
  endpoint_id uuid not null references event_runtime.webhook_endpoint on delete cascade,
  event_id uuid not null,
  event_recorded_at timestamptz not null,
  seq bigint not null,
  entity_key text,
  attempts int not null default 0,
  state text not null default 'pending' check (state in ('pending', 'claimed', 'delivering', 'retrying')),
  next_attempt_at timestamptz not null default clock_timestamp(),
  claimed_by uuid,
  claimed_until timestamptz,
  first_failed_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  unique (endpoint_id, event_id)
) with (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_cost_delay = 0,
  autovacuum_analyze_scale_factor = 0,
  autovacuum_analyze_threshold = 5000
);
comment on table event_runtime.webhook_delivery is 'Deliveries that are still to be made; a queue.';
create index webhook_delivery_due on event_runtime.webhook_delivery (next_attempt_at, delivery_id);
create index webhook_delivery_order on event_runtime.webhook_delivery (endpoint_id, entity_key, delivery_id);

create table event_runtime.webhook_attempt (
  attempt_id uuid not null default event_runtime.uuid_v7(),
  tenant_id text not null check (tenant_id <> ''),
  endpoint_id uuid not null,
  event_id uuid not null,
  attempt int not null,
  outcome text not null check (outcome in ('delivered', 'retrying', 'dead')),
  status_code int,
  error_code text,
  duration_ms double precision,
  response_excerpt text,
  attempted_at timestamptz not null default clock_timestamp(),
  primary key (attempt_id, attempted_at)
) partition by range (attempted_at);
comment on table event_runtime.webhook_attempt is 'Every attempt at a delivery. Append-only.';
create index webhook_attempt_event on event_runtime.webhook_attempt (event_id);
create index webhook_attempt_endpoint on event_runtime.webhook_attempt (endpoint_id, attempted_at);

do $$
declare
  guarded record;
begin
  for guarded in
    select g.table_name, g.service_may, g.of_tenant, g.viewer_columns from (values
      ('consumer_idempotency', 'select, insert, delete', false, null),
      ('dead_letter', 'select, insert, delete', true, null),
      ('webhook_application', 'select, insert, update, delete', true, null),
      -- The viewer sees no secret, not even encrypted.
      ('webhook_endpoint', 'select, insert, update, delete', true,
        '(endpoint_id, tenant_id, application_id, url, ordering, state, disabled_reason, created_at, updated_at)'),
      ('webhook_subscriptions', 'select, insert, update, delete', true, null),
      ('webhook_delivery', 'select, insert, update, delete', true, null),
      ('webhook_attempt', 'select, insert', true, null)
    ) as g(table_name, service_may, of_tenant, viewer_columns)
  loop
    execute format('alter table event_runtime.%I enable row level security', guarded.table_name);
    execute format('alter table event_runtime.%I force row level security', guarded.table_name);
    execute format(
      'create policy owner on event_runtime.%I to event_runtime_owner using (true) with check (true)',
      guarded.table_name
    );
    execute format(
      'create policy service on event_runtime.%I to event_runtime_service using (true) with check (true)',
      guarded.table_name
    );
    execute format('grant %s on event_runtime.%I to event_runtime_service',
      guarded.service_may, guarded.table_name);
    if guarded.of_tenant then
      execute format(
        'create policy tenant on event_runtime.%I for select to event_runtime_viewer '
        'using (tenant_id = (select nullif(current_setting(''event_runtime.tenant'', true), '''')))',
        guarded.table_name
      );
      execute format('grant select %s on event_runtime.%I to event_runtime_viewer',
        coalesce(guarded.viewer_columns, ''), guarded.table_name);
    end if;
  end loop;

  perform event_runtime.partition_create('consumer_idempotency', '-infinity', date_trunc('day', now(), 'UTC'));
  perform event_runtime.partition_cover(
    'consumer_idempotency', date_trunc('day', now(), 'UTC'), 'infinity', 37);
  perform event_runtime.partition_create('webhook_attempt', '-infinity', date_trunc('day', now(), 'UTC'));
  perform event_runtime.partition_cover('webhook_attempt', date_trunc('day', now(), 'UTC'), 'infinity', 37);
end
$$;
