-- emit and emit_many: the write path, for every language. The contract is docs/reference/emit-sql.md.
--
-- No exception block (each would be a subtransaction) and few statements: a call costs about what a plain
-- INSERT costs. Within the functions every name is qualified or comes from pg_catalog.

set local role event_runtime_owner;

create function event_runtime.headers_fault(headers json) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select case
    when octet_length(headers::text) > 16384 then 'headers are larger than 16384 bytes'
    when json_typeof(headers) <> 'object' then 'headers must be a JSON object'
    when exists (select from json_each(headers) h where h.key !~ '^[a-z0-9]{1,20}$')
      then 'a name in headers is not made of 1 to 20 lower-case letters and digits'
    when exists (select from json_each(headers) h where json_typeof(h.value) <> 'string')
      then 'a value in headers is not a string'
  end
$$;

-- Whether an event needs the closer look of emit_fault; false or null for most. PostgreSQL sets up an expression
-- anew in every transaction, function by function, so this one has few; without a subquery, it is inlined.
create function event_runtime.emit_suspect(
  tenant text, session_tenant text, event_type text, payload json, entity_key text, ecosystem text,
  event_version int, idempotency_key text, correlation_id text, causation_id text, source_service text,
  traceparent text, headers json, lock_entity boolean
) returns boolean
language sql immutable
as $$
  select tenant is null or event_type is null or payload is null
      or tenant <> session_tenant
      or event_type ~ '[\u0001-\u001f\u007f-\u009f]'
      or pg_catalog.octet_length(payload::text) > 33554432
      or event_version < 1
      -- In bytes, which nobody has to count, against the smallest of the limits: what has more may still be right.
      or least(pg_catalog.octet_length(tenant), pg_catalog.octet_length(event_type),
               pg_catalog.octet_length(entity_key), pg_catalog.octet_length(ecosystem),
               pg_catalog.octet_length(idempotency_key), pg_catalog.octet_length(correlation_id),
               pg_catalog.octet_length(causation_id), pg_catalog.octet_length(source_service)) = 0
      or greatest(pg_catalog.octet_length(tenant), pg_catalog.octet_length(event_type),
                  pg_catalog.octet_length(entity_key), pg_catalog.octet_length(ecosystem),
                  pg_catalog.octet_length(idempotency_key), pg_catalog.octet_length(correlation_id),
                  pg_catalog.octet_length(causation_id), pg_catalog.octet_length(source_service)) > 100
      or traceparent !~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$'
      or headers is not null
      or lock_entity and entity_key is null
$$;

-- What is wrong with an event, or null.
create function event_runtime.emit_fault(
  tenant text, session_tenant text, event_type text, payload json, entity_key text, ecosystem text,
  event_version int, idempotency_key text, correlation_id text, causation_id text, source_service text,
  traceparent text, headers json, lock_entity boolean
) returns text
language sql immutable
as $$
  select case
    when tenant is null or tenant = '' then 'ER2004 the event has no tenant'
    when tenant <> session_tenant then 'ER2006 tenant_id is not the tenant of event_runtime.tenant'
    when pg_catalog.length(tenant) > 200 then 'ER2008 tenant_id is longer than 200 characters'
    when event_type is null or event_type = '' then 'ER2008 event_type is missing'
    when pg_catalog.length(event_type) > 200 then 'ER2008 event_type is longer than 200 characters'
    when event_type ~ '[\u0001-\u001f\u007f-\u009f]' then 'ER2008 event_type has a control character'
    when payload is null then 'ER2008 payload is missing'
    when pg_catalog.octet_length(payload::text) > 33554432 then 'ER2005 payload is larger than 32 MiB'
    when event_version < 1 then 'ER2008 event_version must be 1 or more'
    when pg_catalog.length(ecosystem) not between 1 and 100
      then 'ER2008 ecosystem must have 1 to 100 characters'
    -- In bytes as well: both stand in indexes, beside others, and an index row has at most 2704 bytes.
    when pg_catalog.length(entity_key) not between 1 and 1000 or pg_catalog.octet_length(entity_key) > 2000
      then 'ER2008 entity_key must have 1 to 1000 characters in at most 2000 bytes'
    when pg_catalog.length(idempotency_key) not between 1 and 500 or pg_catalog.octet_length(idempotency_key) > 1500
      then 'ER2008 idempotency_key must have 1 to 500 characters in at most 1500 bytes'
    when pg_catalog.length(correlation_id) not between 1 and 200
      then 'ER2008 correlation_id must have 1 to 200 characters'
    when pg_catalog.length(causation_id) not between 1 and 200
      then 'ER2008 causation_id must have 1 to 200 characters'
    when pg_catalog.length(source_service) not between 1 and 200
      then 'ER2008 source_service must have 1 to 200 characters'
    when traceparent !~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$'
      then 'ER2008 traceparent is not a W3C trace parent'
    when lock_entity and entity_key is null then 'ER2008 lock_entity needs an entity_key'
    when headers is not null then 'ER2008 ' || event_runtime.headers_fault(headers)
  end
$$;

create function event_runtime.emit_refuse(fault text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  code text := substring(fault from 'ER[0-9]{4}');
begin
  raise exception using
    message = fault,
    errcode = case code when 'ER2004' then '22004' when 'ER2005' then '54000' when 'ER2006' then '42501'
                        else '22023' end,
    hint = case code
      when 'ER2004' then
        'Pass tenant_id, or set it for the transaction: set_config(''event_runtime.tenant'', ..., true).'
      when 'ER2005' then 'Store the large part elsewhere and emit a reference to it.'
      when 'ER2006' then 'Emit for the tenant that event_runtime.tenant names, or leave tenant_id out.'
      else 'Correct the argument that the message names.'
    end;
end
$$;

-- The event that owns an idempotency key: the new one when the key was free, else the first one.
-- An unfinished transaction with the same key is waited for; when it rolls back, the key was free.
create function event_runtime.claim_key(
  tenant text, key text, new_event_id uuid, new_recorded_at timestamptz
) returns uuid
language plpgsql volatile
as $$
declare
  first_event_id uuid;
begin
  loop
    insert into event_runtime.outbox_key (tenant_id, idempotency_key, event_id, recorded_at)
    values (tenant, key, new_event_id, new_recorded_at)
    on conflict do nothing;
    if found then return new_event_id; end if;
    -- A statement of its own: its snapshot is newer than the commit that was waited for.
    select k.event_id into first_event_id
      from event_runtime.outbox_key k
     where k.tenant_id = tenant and k.idempotency_key = key;
    if found then return first_event_id; end if;
    -- The pruner deleted the expired key between the two statements.
  end loop;
end
$$;

create function event_runtime.emit(
  event_type text,
  payload json,
  tenant_id text default null,
  entity_key text default null,
  ecosystem text default null,
  event_version int default 1,
  idempotency_key text default null,
  correlation_id text default null,
  causation_id text default null,
  source_service text default null,
  traceparent text default null,
  headers json default null,
  lock_entity boolean default false,
  out event_id uuid,
  out duplicate boolean
)
language plpgsql volatile security definer
set search_path = pg_catalog, event_runtime, pg_temp
as $$
declare
  session_tenant text := nullif(current_setting('event_runtime.tenant', true), '');
  tenant text := coalesce(emit.tenant_id, session_tenant);
  fault text;
  claimed_event_id uuid;
  claimed_at timestamptz;
begin
  if event_runtime.emit_suspect(
    tenant, session_tenant, emit.event_type, emit.payload, emit.entity_key, emit.ecosystem, emit.event_version,
    emit.idempotency_key, emit.correlation_id, emit.causation_id, emit.source_service, emit.traceparent,
    emit.headers, emit.lock_entity
  ) then
    fault := event_runtime.emit_fault(
      tenant, session_tenant, emit.event_type, emit.payload, emit.entity_key, emit.ecosystem, emit.event_version,
      emit.idempotency_key, emit.correlation_id, emit.causation_id, emit.source_service, emit.traceparent,
      emit.headers, emit.lock_entity);
    if fault is not null then perform event_runtime.emit_refuse(fault); end if;
  end if;
  -- Before seq is drawn: the lock is what makes the order of seq the order of commits.
  if emit.lock_entity then
    perform pg_advisory_xact_lock(hashtextextended(emit.entity_key, hashtextextended(tenant, 0)));
  end if;
  duplicate := false;
  if emit.idempotency_key is not null then
    -- recorded_at is drawn once the transaction has its id, as in the table's defaults. No conflict target:
    -- there is one unique index, and naming it costs a look at the catalogue for each statement.
    insert into event_runtime.outbox_key as k (tenant_id, idempotency_key, event_id, recorded_at)
    values (tenant, emit.idempotency_key, event_runtime.uuid_v7(),
            case when pg_current_xact_id() is not null then clock_timestamp() end)
    on conflict do nothing
    returning k.event_id, k.recorded_at into claimed_event_id, claimed_at;
    if not found then
      perform pg_current_xact_id();
      claimed_event_id := event_runtime.uuid_v7();
      claimed_at := clock_timestamp();
      event_id := event_runtime.claim_key(tenant, emit.idempotency_key, claimed_event_id, claimed_at);
      duplicate := event_id <> claimed_event_id;
      if duplicate then return; end if;
    end if;
  end if;
  -- Columns that are not named take their defaults: seq, then tx_id; recorded_at is computed after both.
  insert into event_runtime.outbox as o (
    event_id, tenant_id, ecosystem, event_type, event_version, entity_key, idempotency_key, correlation_id,
    causation_id, source_service, traceparent, headers, payload, recorded_at
  ) values (
    coalesce(claimed_event_id, event_runtime.uuid_v7()), tenant, emit.ecosystem, emit.event_type,
    coalesce(emit.event_version, 1), emit.entity_key, emit.idempotency_key, emit.correlation_id,
    emit.causation_id, emit.source_service, emit.traceparent, emit.headers, emit.payload,
    coalesce(claimed_at, clock_timestamp())
  )
  returning o.event_id into emit.event_id;
end
$$;
comment on function event_runtime.emit is
  'Writes one event in the caller''s transaction. See docs/reference/emit-sql.md.';

-- An array that is given: one element serves all, as many as there are events stay as they are. For emit_many,
-- and without a search_path of its own: setting one would cost more than the work.
create function event_runtime.emit_spread(argument text, elements anyarray, wanted int) returns anyarray
language plpgsql immutable
as $$
begin
  if pg_catalog.cardinality(elements) operator(pg_catalog.=) wanted then return elements; end if;
  if pg_catalog.cardinality(elements) operator(pg_catalog.=) 1
     and pg_catalog.array_ndims(elements) operator(pg_catalog.=) 1 then
    return pg_catalog.array_fill(elements[pg_catalog.array_lower(elements, 1)], array[wanted]);
  end if;
  if pg_catalog.cardinality(elements) operator(pg_catalog.=) 1 then
    perform event_runtime.emit_refuse(pg_catalog.format('ER2008 %s is no array of one dimension', argument));
  end if;
  perform event_runtime.emit_refuse(pg_catalog.format(
    'ER2008 %s has %s elements; there are %s events', argument, pg_catalog.cardinality(elements), wanted));
end
$$;

create function event_runtime.emit_many(
  event_types text[],
  payloads json[],
  tenant_ids text[] default null,
  entity_keys text[] default null,
  ecosystems text[] default null,
  event_versions int[] default null,
  idempotency_keys text[] default null,
  correlation_ids text[] default null,
  causation_ids text[] default null,
  source_services text[] default null,
  traceparents text[] default null,
  headers json[] default null,
  lock_entity boolean default false
) returns table (ordinal int, event_id uuid, duplicate boolean)
language plpgsql volatile security definer
set search_path = pg_catalog, event_runtime, pg_temp
as $$
#variable_conflict use_column
declare
  session_tenant text := nullif(current_setting('event_runtime.tenant', true), '');
  wanted int := cardinality(event_types);
  fault text;
  new_ids uuid[];
  final_ids uuid[];
  claimed uuid[];
  repeated record;
  tx xid8;
  now_recorded timestamptz;
begin
  if event_types is null or payloads is null then
    perform event_runtime.emit_refuse('ER2008 event_types or payloads is missing');
  end if;
  if cardinality(payloads) <> wanted then
    perform event_runtime.emit_refuse(format(
      'ER2008 payloads has %s elements; there are %s events', cardinality(payloads), wanted));
  end if;
  if wanted = 0 then return; end if;
  if tenant_ids is null then
    tenant_ids := array_fill(session_tenant, array[wanted]);
  else
    tenant_ids := event_runtime.emit_spread('tenant_ids', tenant_ids, wanted);
  end if;
  if entity_keys is not null then entity_keys := event_runtime.emit_spread('entity_keys', entity_keys, wanted); end if;
  if ecosystems is not null then ecosystems := event_runtime.emit_spread('ecosystems', ecosystems, wanted); end if;
  if event_versions is not null then
    event_versions := event_runtime.emit_spread('event_versions', event_versions, wanted);
  end if;
  if idempotency_keys is not null then
    idempotency_keys := event_runtime.emit_spread('idempotency_keys', idempotency_keys, wanted);
  end if;
  if correlation_ids is not null then
    correlation_ids := event_runtime.emit_spread('correlation_ids', correlation_ids, wanted);
  end if;
  if causation_ids is not null then
    causation_ids := event_runtime.emit_spread('causation_ids', causation_ids, wanted);
  end if;
  if source_services is not null then
    source_services := event_runtime.emit_spread('source_services', source_services, wanted);
  end if;
  if traceparents is not null then
    traceparents := event_runtime.emit_spread('traceparents', traceparents, wanted);
  end if;
  if headers is not null then headers := event_runtime.emit_spread('headers', headers, wanted); end if;

  -- Arrays are taken apart side by side in a list of columns, which hands each element on; as a table they would be
  -- written down first, payloads and all.
  if exists (
    select
      from (select unnest(tenant_ids) as tenant, unnest(event_types) as event_type, unnest(payloads) as payload,
                   unnest(entity_keys) as entity_key, unnest(ecosystems) as ecosystem,
                   unnest(event_versions) as event_version, unnest(idempotency_keys) as key,
                   unnest(correlation_ids) as correlation_id, unnest(causation_ids) as causation_id,
                   unnest(source_services) as source_service, unnest(traceparents) as traceparent,
                   unnest(headers) as headers) u
     where event_runtime.emit_suspect(
             coalesce(u.tenant, session_tenant), session_tenant, u.event_type, u.payload, u.entity_key,
             u.ecosystem, u.event_version, u.key, u.correlation_id, u.causation_id, u.source_service,
             u.traceparent, u.headers, lock_entity)
  ) then
    select overlay(f.fault placing format(' event %s:', f.ordinal) from 7 for 0) into fault
      from (
        select u.ordinal,
               event_runtime.emit_fault(
                 coalesce(u.tenant, session_tenant), session_tenant, u.event_type, u.payload, u.entity_key,
                 u.ecosystem, u.event_version, u.key, u.correlation_id, u.causation_id, u.source_service,
                 u.traceparent, u.headers, lock_entity) as fault
          from unnest(tenant_ids, event_types, payloads, entity_keys, ecosystems, event_versions,
                      idempotency_keys, correlation_ids, causation_ids, source_services, traceparents, headers)
               with ordinality as u(tenant, event_type, payload, entity_key, ecosystem, event_version, key,
                                    correlation_id, causation_id, source_service, traceparent, headers, ordinal)
        offset 0 -- Keeps the expression from being computed once for the filter and once for the result.
      ) f
     where f.fault is not null
     order by f.ordinal
     limit 1;
    if fault is not null then perform event_runtime.emit_refuse(fault); end if;
  end if;

  if lock_entity then
    -- Sorted: two calls with the same entities in another order wait, and do not deadlock.
    perform pg_advisory_xact_lock(l.lock_key)
       from (select distinct hashtextextended(
                      u.entity_key, hashtextextended(coalesce(u.tenant, session_tenant), 0)) as lock_key
               from unnest(tenant_ids, entity_keys) as u(tenant, entity_key)
              order by 1) l;
  end if;

  tx := pg_current_xact_id();
  now_recorded := clock_timestamp();
  new_ids := array(select event_runtime.uuid_v7() from generate_series(1, wanted));
  final_ids := new_ids;
  if idempotency_keys is not null then
    with claim as (
      insert into event_runtime.outbox_key (tenant_id, idempotency_key, event_id, recorded_at)
      select distinct on (1, 2) coalesce(u.tenant, session_tenant), u.key, u.id, now_recorded
        from unnest(tenant_ids, idempotency_keys, new_ids) with ordinality as u(tenant, key, id, ordinal)
       where u.key is not null
       order by 1, 2, u.ordinal -- Sorted by key for the same reason; the first of a key wins.
      on conflict do nothing
      returning outbox_key.event_id
    )
    select array_agg(c.event_id) into claimed from claim c;
    for repeated in
      select u.ordinal, coalesce(u.tenant, session_tenant) as tenant, u.key, u.id
        from unnest(tenant_ids, idempotency_keys, new_ids) with ordinality as u(tenant, key, id, ordinal)
       where u.key is not null
         and u.id not in (select c.id from unnest(claimed) as c(id))
       order by u.ordinal
    loop
      final_ids[repeated.ordinal] :=
        event_runtime.claim_key(repeated.tenant, repeated.key, repeated.id, now_recorded);
    end loop;
  end if;

  -- One scan, and an INSERT never runs in parallel: rows come, and draw their seq, in the order of the input. A
  -- sort would copy every payload.
  insert into event_runtime.outbox (
    event_id, tx_id, tenant_id, ecosystem, event_type, event_version, entity_key, idempotency_key,
    correlation_id, causation_id, source_service, traceparent, headers, payload, recorded_at
  )
  select u.id, tx, coalesce(u.tenant, session_tenant), u.ecosystem, u.event_type,
         coalesce(u.event_version, 1), u.entity_key, u.key, u.correlation_id, u.causation_id,
         u.source_service, u.traceparent, u.headers, u.payload, now_recorded
    from (select unnest(new_ids) as id, unnest(final_ids) as final_id, unnest(tenant_ids) as tenant,
                 unnest(event_types) as event_type, unnest(payloads) as payload,
                 unnest(entity_keys) as entity_key, unnest(ecosystems) as ecosystem,
                 unnest(event_versions) as event_version, unnest(idempotency_keys) as key,
                 unnest(correlation_ids) as correlation_id, unnest(causation_ids) as causation_id,
                 unnest(source_services) as source_service, unnest(traceparents) as traceparent,
                 unnest(headers) as headers) u
   where u.id = u.final_id;

  -- In the order of the input as it is.
  return query
    select u.ordinal::int, u.final_id, u.final_id <> u.id
      from unnest(new_ids, final_ids) with ordinality as u(id, final_id, ordinal);
end
$$;
comment on function event_runtime.emit_many is
  'Writes many events in the caller''s transaction, in one statement. See docs/reference/emit-sql.md.';

grant execute on function event_runtime.emit, event_runtime.emit_many to event_runtime_producer;
