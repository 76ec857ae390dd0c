-- Replays: events of the outbox that are handed to a sink again. And rewinding a sink to a time.

set local role event_runtime_owner;

create table event_runtime.replay (
  replay_id uuid primary key default event_runtime.uuid_v7(),
  relay text not null check (length(relay) between 1 and 63),
  sink text not null check (length(sink) between 1 and 200),
  -- It is done when each of its parts is finished, whatever stands here.
  state text not null default 'running' check (state in ('running', 'paused', 'cancelled')),
  -- Which events: see ReplaySelection.
  selection jsonb not null,
  -- Of those, the rows that are visible in it, or came with a dump: no event that is emitted later.
  snapshot pg_snapshot not null,
  after_seq bigint not null,
  upto_seq bigint not null,
  -- So many they were when it was made.
  total bigint not null check (total >= 0),
  events_per_second int not null check (events_per_second > 0),
  -- Into how many parts the sink was divided.
  shards int not null check (shards > 0),
  created_at timestamptz not null default clock_timestamp(),
  changed_at timestamptz not null default clock_timestamp()
);
comment on table event_runtime.replay is 'Events that a sink is handed again: durable jobs of the relay.';

create table event_runtime.replay_part (
  replay_id uuid not null references event_runtime.replay on delete cascade,
  shard int not null check (shard >= 0),
  -- Everything up to here is done with.
  after_seq bigint not null,
  delivered bigint not null default 0,
  -- They are dead letters now.
  rejected bigint not null default 0,
  finished_at timestamptz,
  -- Why the sink does not take what it is handed, while that is tried again: the name of an error, no message.
  trouble text,
  updated_at timestamptz not null default clock_timestamp(),
  primary key (replay_id, shard)
) with (fillfactor = 50);
create index replay_part_open on event_runtime.replay_part (replay_id) where finished_at is null;
comment on table event_runtime.replay_part is 'How far a replay has got, for each part of its sink.';

-- Set by an operator: the sink goes on in the table from there, which its feeder does itself. `3:3:`: from the beginning.
alter table event_runtime.relay_checkpoint add column rewind_snapshot pg_snapshot;
-- Of which cluster it is: in another one its transaction ids mean nothing, and the request is left alone.
alter table event_runtime.relay_checkpoint add column rewind_cluster text;

-- Which replay made a delivery; null: it is of the event as it happened.
alter table event_runtime.webhook_delivery add column replay_id uuid;

do $$
declare
  name text;
begin
  foreach name in array array['replay', 'replay_part'] loop
    execute format('alter table event_runtime.%I enable row level security', name);
    execute format('alter table event_runtime.%I force row level security', name);
    execute format(
      'create policy owner on event_runtime.%I to event_runtime_owner using (true) with check (true)', name);
    execute format(
      'create policy service on event_runtime.%I to event_runtime_service using (true) with check (true)', name);
    execute format('grant select, insert, update, delete on event_runtime.%I to event_runtime_service', name);
  end loop;
end
$$;
