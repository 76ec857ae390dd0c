-- Dead letters: groups of like errors, and what is needed to hand them over again.

set local role event_runtime_owner;

create function event_runtime.dead_letter_group(
  sink text, endpoint_id uuid, reason_code text, event_type text, reason text
) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  -- Nobody reads more, and whoever refused the event wrote it.
  form text collate "C" := left(reason, 2000);
  -- The one number that says what kind of error it was.
  status text collate "C" := substring(form from '(?:status|HTTP)[^0-9]{0,4}([1-5][0-9][0-9])\M');
begin
  form := regexp_replace(form, '"[^"]*"|`[^`]*`', '~', 'g');
  form := regexp_replace(form, '(^|[^0-9A-Za-z])''[^'']*''', '\1~', 'g');
  form := regexp_replace(form, '\m[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\M', '#', 'g');
  form := regexp_replace(form, '[0-9A-Za-z_]*[0-9][0-9A-Za-z_]*|\m[0-9a-fA-F]{8,}\M', '#', 'g');
  form := regexp_replace(form, '#(?:[-.:,/+ ]+#)+', '#', 'g');
  return left(lpad(to_hex(hashtextextended(
    concat_ws(chr(31), sink, coalesce(endpoint_id::text, ''), reason_code, event_type, coalesce(status, ''), form), 0
  )), 16, '0'), 12);
end
$$;
comment on function event_runtime.dead_letter_group is
  'A fingerprint of like errors: sink, endpoint, code, type, and the reason without numbers, ids and quoted text.';
-- The column below is computed by whoever writes.
grant execute on function event_runtime.dead_letter_group to event_runtime_service;

-- One letter for each event and destination, however often it dies. Two would be of two relays at once; the first stays.
delete from event_runtime.dead_letter d
 where exists (
   select from event_runtime.dead_letter e
    where e.event_id = d.event_id and e.sink = d.sink and e.endpoint_id is not distinct from d.endpoint_id
      and e.dead_letter_id < d.dead_letter_id);
drop index event_runtime.dead_letter_event;

alter table event_runtime.dead_letter
  -- Which relay kept it, and hands it over again; others may have a sink of that name. Of a webhook empty: whoever claims.
  add column relay text not null default '',
  add column group_id text not null
    generated always as (event_runtime.dead_letter_group(sink, endpoint_id, reason_code, event_type, reason)) stored,
  add column state text not null default 'dead' check (state in ('dead', 'redriving')),
  -- How often it was asked to be handed over again, and the last time: by which request, when, by whom.
  add column redrives int not null default 0,
  add column redrive_id uuid,
  add column redrive_at timestamptz,
  add column redrive_by text,
  -- The rest of the envelope, for when the outbox has forgotten the event. Null: it was forgotten before it was kept.
  add column event_version int,
  add column idempotency_key text,
  add column correlation_id text,
  add column causation_id text,
  add column source_service text,
  add column traceparent text;

update event_runtime.dead_letter d set relay = (
    select c.relay from event_runtime.relay_checkpoint c where c.sink = d.sink order by c.updated_at desc, c.relay limit 1
  )
 where d.endpoint_id is null and exists (select from event_runtime.relay_checkpoint c where c.sink = d.sink);
create unique index dead_letter_once on event_runtime.dead_letter (event_id, sink, relay, endpoint_id) nulls not distinct;
update event_runtime.dead_letter d
   set event_version = o.event_version, idempotency_key = o.idempotency_key, correlation_id = o.correlation_id,
       causation_id = o.causation_id, source_service = o.source_service, traceparent = o.traceparent
  from event_runtime.outbox o
 where o.event_id = d.event_id and o.recorded_at = d.event_recorded_at;
-- What was kept of an event that is gone by now can still be sent; what was gone before cannot.
update event_runtime.dead_letter d set event_version = 1
 where d.event_version is null and not (d.event_type = 'unknown' and d.reason_code = 'ER4009');
update event_runtime.dead_letter d set first_failed_at = d.dead_at where d.first_failed_at is null;
alter table event_runtime.dead_letter
  alter column first_failed_at set default clock_timestamp(),
  alter column first_failed_at set not null;

create index dead_letter_group on event_runtime.dead_letter (group_id, dead_letter_id);
create index dead_letter_sink on event_runtime.dead_letter (sink, dead_letter_id);
-- What the relay looks for every second, by entity; and where later events wait behind a letter, what waits, and for
-- which. By a hash: the texts may be too long for a key.
create index dead_letter_redriving on event_runtime.dead_letter
  (sink, relay, hashtextextended(entity_key, hashtextextended(tenant_id, 0)), seq)
  where state = 'redriving' and endpoint_id is null;
create index dead_letter_waits on event_runtime.dead_letter
  (sink, relay, hashtextextended(entity_key, hashtextextended(tenant_id, 0)), seq)
  where state = 'dead' and endpoint_id is null and reason_code = 'waits';
create index dead_letter_entity on event_runtime.dead_letter
  (sink, relay, hashtextextended(entity_key, hashtextextended(tenant_id, 0)), seq)
  where state = 'dead' and endpoint_id is null and entity_key is not null;
-- Of an endpoint that is removed.
create index dead_letter_endpoint on event_runtime.dead_letter (endpoint_id)
  where state = 'redriving' and endpoint_id is not null;
create index dead_letter_redrive on event_runtime.dead_letter (redrive_id) where redrive_id is not null;

-- Deliveries of letters that are redriven, by endpoint: those of a disabled one may be a great many.
create index webhook_delivery_redriven on event_runtime.webhook_delivery (endpoint_id, delivery_id)
  where delivery_id < 0;

grant update on event_runtime.dead_letter to event_runtime_service;
