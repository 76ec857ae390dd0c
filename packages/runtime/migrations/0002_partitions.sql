-- Partitions by day.
--
-- A leaf is made apart and attached: ATTACH takes SHARE UPDATE EXCLUSIVE on the root, which no INSERT
-- waits for; CREATE TABLE ... PARTITION OF would take ACCESS EXCLUSIVE. There is never a DEFAULT
-- partition: it would forbid DETACH CONCURRENTLY. Instead the partitions cover all of time: what is
-- beyond the days lies in wider partitions (7, 14, 28 ... days, about twenty years in ten of them), then
-- in one without end, so that an INSERT finds its partition however long upkeep was stopped. A leaf has
-- row-level security and no grant of its own: who is let in through the root is not let in by its name.

set local role event_runtime_owner;

create function event_runtime.partition_create(
  root text, lower_bound timestamptz, upper_bound timestamptz
) returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
declare
  leaf text := root || case
    when lower_bound = '-infinity' then '_underflow'
    when upper_bound = 'infinity' then '_overflow'
    when upper_bound = lower_bound + interval '1 day' then to_char(lower_bound, '"_"YYYYMMDD')
    else to_char(lower_bound, '"_"YYYYMMDD') || to_char(upper_bound, '"_"YYYYMMDD')
  end;
begin
  execute format(
    'create table event_runtime.%I (like event_runtime.%I including all excluding identity)', leaf, root
  );
  execute format('alter table event_runtime.%I enable row level security', leaf);
  execute format('alter table event_runtime.%I force row level security', leaf);
  execute format(
    'create policy owner on event_runtime.%I to event_runtime_owner using (true) with check (true)', leaf
  );
  execute format(
    'alter table event_runtime.%I attach partition event_runtime.%I for values from (%s) to (%s)',
    root, leaf,
    case when lower_bound = '-infinity' then 'minvalue' else quote_literal(lower_bound) end,
    case when upper_bound = 'infinity' then 'maxvalue' else quote_literal(upper_bound) end
  );
  return leaf;
end
$$;
comment on function event_runtime.partition_create(text, timestamptz, timestamptz) is
  'Makes and attaches the partition [lower, upper) of a day-partitioned table; returns its name.';

create function event_runtime.partition_cover(
  root text, lower_bound timestamptz, upper_bound timestamptz, days int
) returns int
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
declare
  low timestamptz := lower_bound;
  high timestamptz;
  width int := 7;
  made int := 0;
begin
  if lower_bound = '-infinity' then
    perform event_runtime.partition_create(root, lower_bound, upper_bound);
    return 1;
  end if;
  while low < upper_bound loop
    if made < days then
      high := low + interval '1 day';
    elsif upper_bound = 'infinity' and made >= days + 10 then
      high := upper_bound;
    else
      high := low + make_interval(days => width);
      width := width * 2;
    end if;
    high := least(high, upper_bound);
    perform event_runtime.partition_create(root, low, high);
    low := high;
    made := made + 1;
  end loop;
  return made;
end
$$;
comment on function event_runtime.partition_cover(text, timestamptz, timestamptz, int) is
  'Covers [lower, upper) without a gap: so many single days first, then ever wider partitions.';

create function event_runtime.partition_list(
  root text,
  out name text, out lower_bound timestamptz, out upper_bound timestamptz, out detaching boolean
) returns setof record
language sql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
  select c.relname::text,
         coalesce(substring(b.bound from $re$FROM \('([^']+)'\)$re$), '-infinity')::timestamptz,
         coalesce(substring(b.bound from $re$TO \('([^']+)'\)$re$), 'infinity')::timestamptz,
         i.inhdetachpending
    from pg_class r
    join pg_namespace n on n.oid = r.relnamespace and n.nspname = 'event_runtime'
    join pg_inherits i on i.inhparent = r.oid
    join pg_class c on c.oid = i.inhrelid
   cross join lateral (select pg_get_expr(c.relpartbound, c.oid) as bound) b
   where r.relname = root
   order by 2
$$;
comment on function event_runtime.partition_list(text) is
  'The partitions of a day-partitioned table in the order of time, with their bounds.';
grant execute on function event_runtime.partition_list(text) to event_runtime_service;
