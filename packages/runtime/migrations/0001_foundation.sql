-- Roles, the schema, the record of migrations, event ids.
--
-- Roles belong to the cluster, not to the database: another database may have made them, or may be
-- making them at this moment. They cannot log in; grant them to the roles that do.

do $$
declare
  role_name text;
begin
  foreach role_name in array array[
    'event_runtime_owner', 'event_runtime_service', 'event_runtime_producer', 'event_runtime_viewer'
  ] loop
    if not exists (select from pg_catalog.pg_roles where rolname = role_name) then
      begin
        execute format('create role %I nologin', role_name);
      exception when duplicate_object or unique_violation then
        null; -- The other database was faster.
      end;
    end if;
  end loop;

  -- Whoever migrates creates everything as the owner role. A superuser may do that anyway. On
  -- PostgreSQL 16 and later, CREATEROLE alone gives the right to grant the new role, not to use it.
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    if current_setting('server_version_num')::int < 160000 then
      if not pg_has_role(current_user, 'event_runtime_owner', 'MEMBER') then
        execute format('grant event_runtime_owner to %I', current_user);
      end if;
    elsif not (pg_has_role(current_user, 'event_runtime_owner', 'SET')
               and pg_has_role(current_user, 'event_runtime_owner', 'USAGE')) then
      execute format('grant event_runtime_owner to %I with set true, inherit true', current_user);
    end if;
  end if;
end
$$;

create schema event_runtime authorization event_runtime_owner;

set local role event_runtime_owner;

-- Nothing here is for everybody: a function made later is not executable by PUBLIC either.
alter default privileges revoke execute on functions from public;
revoke all on schema event_runtime from public;
grant usage on schema event_runtime
  to event_runtime_service, event_runtime_producer, event_runtime_viewer;

create table event_runtime.schema_migration (
  number int primary key,
  name text not null,
  checksum text not null, -- sha256 of the file, hexadecimal
  breaking boolean not null, -- older programs must not run on this schema
  applied_at timestamptz not null default clock_timestamp()
);
comment on table event_runtime.schema_migration is 'Migrations that were applied, one row each.';

alter table event_runtime.schema_migration enable row level security;
alter table event_runtime.schema_migration force row level security;
create policy owner on event_runtime.schema_migration to event_runtime_owner using (true) with check (true);
create policy readers on event_runtime.schema_migration for select
  to event_runtime_service, event_runtime_viewer using (true);
grant select on event_runtime.schema_migration to event_runtime_service, event_runtime_viewer;

-- UUID version 7: 48 bits of milliseconds, the rest random. Built in from PostgreSQL 18 on. Before, a
-- random UUID (version 4, 0100) gets the time in its first six bytes and the two bits that make it 0111.
-- One expression over other functions, so that the planner inlines it.
do $$
begin
  if current_setting('server_version_num')::int >= 180000 then
    create function event_runtime.uuid_v7() returns uuid
    language sql volatile parallel safe
    as 'select pg_catalog.uuidv7()';
  else
    create function event_runtime.uuid_v7() returns uuid
    language sql volatile parallel safe
    as $body$
      select pg_catalog.encode(
        pg_catalog.set_bit(
          pg_catalog.set_bit(
            pg_catalog.overlay(
              pg_catalog.uuid_send(pg_catalog.gen_random_uuid()),
              pg_catalog.substr(
                pg_catalog.int8send((pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000)::bigint), 3
              ),
              1, 6
            ),
            52, 1
          ),
          53, 1
        ),
        'hex'
      )::uuid
    $body$;
  end if;
end
$$;
comment on function event_runtime.uuid_v7() is 'A new UUID version 7.';
-- It is the default of keys in tables that the service writes.
grant execute on function event_runtime.uuid_v7() to event_runtime_service;
