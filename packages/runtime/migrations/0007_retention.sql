-- Retention: partitions of the outbox are dropped, and what a sink loses by it is counted.

set local role event_runtime_owner;

-- DETACH hides a partition from who reads the table before it is dropped, and a reader goes on past it. So what each
-- sink had read is written down before: then nothing that it loses is left out of the count, also after a crash.
create table event_runtime.outbox_drop (
  partition text primary key,
  begun_at timestamptz not null default clock_timestamp(),
  -- Past the maximum: it goes, read or not.
  forced boolean not null,
  -- So many rows were archived; null: there is no archive.
  archived bigint,
  -- The rows of relay_checkpoint before the partition was taken out.
  readers jsonb not null
);
comment on table event_runtime.outbox_drop is 'Partitions of the outbox that are being dropped at this moment.';
alter table event_runtime.outbox_drop enable row level security;
alter table event_runtime.outbox_drop force row level security;
create policy owner on event_runtime.outbox_drop to event_runtime_owner using (true) with check (true);

-- The same question as TableReader.countUnread asks, of one partition, attached or not. By the index on (tx_id, seq):
-- what a snapshot does not see is all from its xmax on, and its open transactions.
create function event_runtime.outbox_unread(
  partition text, reader event_runtime.relay_checkpoint, shards int, most bigint default null
) returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
  unread bigint;
  fresh text := 'o.seq > $1.floor_seq and ($1.adopting_snapshot is not null or $1.batch_snapshot is null '
    'or not (o.seq <= $1.batch_seq and pg_visible_in_snapshot(o.tx_id, $1.batch_snapshot)))';
  mine text := case when shards = 1 then 'true' else format(
    '(hashtextextended(coalesce(o.entity_key, o.event_id::text), case when o.entity_key is null then 0 '
    'else hashtextextended(o.tenant_id, 0) end) & 9223372036854775807) %% %s = $1.shard', shards) end;
begin
  execute format(
    'select count(*) from ('
    '  select from event_runtime.%1$I o'
    '   where o.tx_id >= pg_snapshot_xmax($1.snapshot) and %2$s and %3$s'
    '  union all'
    '  select from event_runtime.%1$I o'
    '   where o.tx_id = any (array(select pg_snapshot_xip($1.snapshot))) and %2$s and %3$s'
    '  union all'
    '  select from event_runtime.%1$I o'
    '   where $1.adopting_snapshot is not null and o.seq <= $1.floor_seq and o.seq > coalesce($1.batch_seq, 0)'
    '     and (not pg_visible_in_snapshot(o.tx_id, $1.adopting_snapshot) or o.recorded_at > $1.adopting_since)'
    '     and %3$s'
    '  limit $2) u',
    partition, fresh, mine
  ) into unread using reader, most;
  return unread;
end
$$;
comment on function event_runtime.outbox_unread is
  'How many rows of a partition a sink has not read, by its checkpoint; counts no further than most.';

create function event_runtime.outbox_readers(
  out reader event_runtime.relay_checkpoint, out shards int
) returns setof record
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select c, max(c.shard) over (partition by c.relay, c.sink) + 1 from event_runtime.relay_checkpoint c
$$;
comment on function event_runtime.outbox_readers is 'The checkpoints of all relays, and into how many shards each sink is cut.';

create function event_runtime.outbox_drop_begin(partition text, forced boolean, archived bigint) returns void
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  -- Whatever stands there is of an attempt that took nothing out: the partition is attached.
  insert into event_runtime.outbox_drop as d (partition, forced, archived, readers)
  select partition, forced, archived, coalesce(jsonb_agg(to_jsonb(c)), '[]') from event_runtime.relay_checkpoint c
  on conflict on constraint outbox_drop_pkey do update
     set begun_at = clock_timestamp(), forced = excluded.forced, archived = excluded.archived,
         readers = excluded.readers
$$;
comment on function event_runtime.outbox_drop_begin is
  'Writes down what every sink has read. To be committed before the partition is detached.';

create function event_runtime.outbox_drop_finish(partition text) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  begun record;
  stored bigint;
  gaps jsonb;
  keep boolean := false;
begin
  select d.forced, d.archived, d.readers into begun
    from event_runtime.outbox_drop d where d.partition = outbox_drop_finish.partition;
  if not found then
    return null;
  end if;
  if exists (select from pg_inherits i where i.inhrelid = to_regclass(format('event_runtime.%I', partition))) then
    raise exception 'partition % is attached', partition;
  end if;
  -- Nobody can write to it any more: what is counted now is all there will ever be.
  if begun.archived is not null then
    execute format('select count(*) from event_runtime.%I', partition) into stored;
    keep := stored <> begun.archived;
  end if;
  select jsonb_agg(to_jsonb(g)) into gaps
    from (select (r.reader).relay, (r.reader).sink, (r.reader).shard,
                 event_runtime.outbox_unread(partition, coalesce(b, r.reader), r.shards) as lost,
                 -- It reads the table, and has gone on while the partition was hidden.
                 (r.reader).mode = 'table' and b is distinct from null
                   and ((r.reader).snapshot::text, (r.reader).batch_seq)
                       is distinct from (b.snapshot::text, b.batch_seq) as passed
            from event_runtime.outbox_readers() r
            left join jsonb_populate_recordset(null::event_runtime.relay_checkpoint, begun.readers) b
              on (b.relay, b.sink, b.shard) = ((r.reader).relay, (r.reader).sink, (r.reader).shard)) g
   where g.lost > 0;
  keep := keep or (gaps is not null and not begun.forced);
  update event_runtime.relay_checkpoint c
     set gapped_events = c.gapped_events + g.lost, gapped_at = clock_timestamp()
    from jsonb_to_recordset(gaps) as g(relay text, sink text, shard int, lost bigint, passed boolean)
   where (c.relay, c.sink, c.shard) = (g.relay, g.sink, g.shard) and (g.passed or not keep);
  if not keep then
    execute format('drop table event_runtime.%I', partition);
  end if;
  delete from event_runtime.outbox_drop d where d.partition = outbox_drop_finish.partition;
  return not keep;
end
$$;
comment on function event_runtime.outbox_drop_finish is
  'Drops a detached partition and marks who loses rows by it. False: it must be attached again. Null: not begun.';
