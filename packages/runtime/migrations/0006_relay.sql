-- The relay: ticks, checkpoints, leases.

set local role event_runtime_owner;

-- The table is read in the order of seq, in pages; transactions are found by outbox_tx_id_seq.
create index outbox_seq on event_runtime.outbox (seq);

-- A moment of the log. What a reader of the table needs to know where to begin, and what "rewind to a time" goes to.
-- at and seq are read before the tick's own transaction gets its id; lsn and ceiling after the snapshot is taken. So:
--   every event of a transaction with a higher id than xid has a higher seq and a later recorded_at;
--   every transaction that is visible in snapshot has its commit record before lsn, and its events' seq up to ceiling.
create table event_runtime.tick (
  at timestamptz not null,
  xid xid8 not null,
  seq bigint not null,
  snapshot pg_snapshot not null,
  lsn pg_lsn not null,
  ceiling bigint not null,
  primary key (xid, at)
) partition by range (at);
comment on table event_runtime.tick is 'Moments of the log: a snapshot, and where the log and the sequence stood.';
-- Where a batch of so many events ends.
create index tick_seq on event_runtime.tick (seq, xid);

create function event_runtime.tick(
  out at timestamptz, out xid xid8, out seq bigint, out snapshot pg_snapshot, out lsn pg_lsn, out ceiling bigint
) returns record
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  last_at timestamptz;
begin
  at := clock_timestamp();
  select case when s.is_called then s.last_value else 0 end into seq from event_runtime.outbox_seq_seq s;
  xid := pg_current_xact_id();
  snapshot := pg_current_snapshot();
  lsn := pg_current_wal_insert_lsn();
  select case when s.is_called then s.last_value else 0 end into ceiling from event_runtime.outbox_seq_seq s;
  -- The clock was set back: events to come are recorded earlier than those ticks say.
  select t.at into last_at from event_runtime.tick t order by t.xid desc limit 1;
  if last_at > at + interval '30 minutes' then
    delete from event_runtime.tick t where t.at > tick.at + interval '30 minutes';
  end if;
  insert into event_runtime.tick (at, xid, seq, snapshot, lsn, ceiling)
  values (at, xid, seq, snapshot, lsn, ceiling);
end
$$;
comment on function event_runtime.tick is 'Stores a tick and answers it. To be committed at once, by itself.';

-- How far each sink has got. Written only by the holder of the epoch; see docs/architecture.md.
create table event_runtime.relay_checkpoint (
  relay text not null check (length(relay) between 1 and 63),
  sink text not null check (length(sink) between 1 and 200),
  -- A hash of the entity: several dispatchers share a sink. Always 0 for a sink that reads the WAL.
  shard int not null default 0 check (shard >= 0),
  -- Which lease wrote it; a lower epoch is turned away.
  epoch bigint not null,
  -- The cluster that lsn and the snapshots belong to.
  system_identifier text not null,
  -- The server's timeline when it was claimed: another one means that a standby was promoted or a backup restored.
  timeline int not null,
  -- live: reads the WAL, everything up to (lsn, ordinal) is delivered. table: reads the table.
  mode text not null default 'table' check (mode in ('live', 'table')),
  lsn pg_lsn not null default '0/0',
  ordinal int not null default -1,
  -- Everything that is visible in it is delivered.
  snapshot pg_snapshot not null,
  -- A batch in progress: of what is visible in it and not in snapshot, all up to batch_seq is delivered.
  batch_snapshot pg_snapshot,
  batch_seq bigint,
  -- Rows up to here came from another cluster (a dump, an upgrade): their transaction ids mean nothing in this one.
  floor_seq bigint not null default 0,
  -- Those rows are read once, by what was delivered in the other cluster: not visible in adopting_snapshot, or
  -- recorded after adopting_since.
  adopting_snapshot pg_snapshot,
  adopting_since timestamptz,
  -- Set by an operator.
  paused_at timestamptz,
  -- Events that retention dropped before this sink had read them.
  gapped_events bigint not null default 0,
  gapped_at timestamptz,
  updated_at timestamptz not null default clock_timestamp(),
  primary key (relay, sink, shard),
  check (batch_snapshot is null or batch_seq is not null),
  check ((adopting_snapshot is null) = (adopting_since is null))
) with (fillfactor = 50);
comment on table event_runtime.relay_checkpoint is 'How far each sink of the relay has got.';

-- Who does what: one row for the reader of the WAL (sink *), one for each shard of a sink that reads the table, one for
-- each replica (sink @).
create table event_runtime.relay_lease (
  relay text not null,
  sink text not null,
  shard int not null default 0,
  epoch bigint not null,
  holder uuid not null,
  holder_name text not null,
  acquired_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  primary key (relay, sink, shard)
) with (fillfactor = 50);
comment on table event_runtime.relay_lease is 'Which replica does which part of the relay, and until when.';

-- One for all leases, so that an epoch is higher than every one before, whatever the lease.
create sequence event_runtime.relay_epoch;

-- Which cluster the transaction ids of the outbox belong to: one row.
create table event_runtime.relay_cluster (
  singleton boolean primary key default true check (singleton),
  system_identifier text not null,
  -- Rows up to here came from another cluster: their transaction ids mean nothing in this one.
  floor_seq bigint not null default 0
);
comment on table event_runtime.relay_cluster is 'The cluster that the outbox was written in, and what came from another one.';
insert into event_runtime.relay_cluster (system_identifier)
select c.system_identifier::text from pg_control_system() c;

create function event_runtime.relay_foreign(relay_name text, cluster text) returns boolean
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select exists (select from event_runtime.relay_cluster k where k.system_identifier <> cluster)
      or exists (select from event_runtime.relay_checkpoint c
                  where c.relay = relay_name and c.system_identifier <> cluster);
$$;
comment on function event_runtime.relay_foreign is 'Whether the outbox or a checkpoint of this relay is of another cluster.';

-- The first contact with another cluster than the one that the outbox was written in. Whoever calls it sets a short
-- lock_timeout: emits wait while it holds its lock, which shuts out transactions that have drawn a seq and are still
-- open.
create function event_runtime.relay_adopt(relay_name text, cluster text) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  highest bigint;
begin
  if not event_runtime.relay_foreign(relay_name, cluster) then
    return null;
  end if;
  lock table event_runtime.outbox in share mode;
  perform from event_runtime.relay_cluster k for update;
  if not event_runtime.relay_foreign(relay_name, cluster) then
    return null;
  end if;
  select coalesce(max(o.seq), 0) into highest from event_runtime.outbox o;
  perform setval('event_runtime.outbox_seq_seq', greatest(highest, s.last_value), s.is_called or highest > 0)
    from event_runtime.outbox_seq_seq s;
  update event_runtime.relay_cluster k set system_identifier = cluster, floor_seq = highest;
  -- Of all relays: their rows are the same. The epochs of another cluster fence nobody here, and where sequences were
  -- not restored they would turn away everybody.
  update event_runtime.relay_checkpoint c
     set system_identifier = cluster, epoch = 0, mode = 'table', lsn = '0/0', ordinal = -1,
         adopting_snapshot = case when c.adopting_snapshot is null then c.snapshot else c.adopting_snapshot end,
         adopting_since = coalesce(c.adopting_since, c.updated_at),
         snapshot = '3:3:', batch_snapshot = null, batch_seq = null, floor_seq = highest
   where c.system_identifier <> cluster;
  delete from event_runtime.tick;
  return highest;
end
$$;
comment on function event_runtime.relay_adopt is
  'Goes on in another cluster: rows that came with the dump are told from new ones. The floor, or null: nothing to do.';

do $$
declare
  guarded record;
begin
  for guarded in
    select g.table_name, g.service_may from (values
      ('tick', 'select, delete'),
      ('relay_cluster', 'select'),
      ('relay_checkpoint', 'select, insert, update, delete'),
      ('relay_lease', 'select, insert, update, delete')
    ) as g(table_name, service_may)
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
  end loop;

  perform event_runtime.partition_create('tick', '-infinity', date_trunc('day', now(), 'UTC'));
  perform event_runtime.partition_cover('tick', date_trunc('day', now(), 'UTC'), 'infinity', 37);
end
$$;

grant execute on function event_runtime.tick, event_runtime.relay_adopt to event_runtime_service;
grant usage on sequence event_runtime.relay_epoch to event_runtime_service;
-- Its last value bounds what a reader of the table must look at.
grant select on sequence event_runtime.outbox_seq_seq to event_runtime_service;
