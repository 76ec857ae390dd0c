/**
 * What is recorded: something of every kind that pgoutput can send under protocol version 1. Each entry is
 * one simple query, so several statements in it are one transaction, unless it opens its own.
 */
export const setUp: readonly string[] = [
  `create type mood as enum ('glad', 'sad');
   create domain short as text check (length(value) < 100);
   create table typed (id int primary key, mood mood, short short, moods mood[]);
   create table plain (id int primary key, body text, big text, note text);
   create table whole (id int, body text, big text);
   alter table whole replica identity full;
   create table keyed (id int not null, code text not null, body text);
   create unique index keyed_code on keyed (code);
   alter table keyed replica identity using index keyed_code;
   create table unkeyed (id int, body text);
   create table empty ();
   create table changing (id int primary key, a int);
   create table child (id serial primary key, parent int references plain (id));
   create table parted (id int, day date, body text) partition by range (day);
   create table parted_1 partition of parted for values from ('2026-01-01') to ('2027-01-01');
   create table values_of_all_sorts (
     id bigint primary key, b boolean, i int, n numeric, f float8, t text, j json, jb jsonb, u uuid,
     at timestamptz, d date, span interval, raw bytea, list int[], x xml, r int4range)`,
  `create publication recorded for all tables with (publish_via_partition_root = true)`,
];

/** Stops the compressor and the deduplicator: md5 chains do not compress, so the value is TOASTed. */
const big = `(select string_agg(md5(n::text), '') from generate_series(1, 400) n)`;

export const scenario: readonly string[] = [
  `insert into plain values (1, 'first', ${big}, null)`,
  `insert into plain values (2, 'ção 日本語 🦀 \\ "quoted"', '', 'a' || chr(10) || chr(1) || 'b')`,
  `insert into plain values (3, null, null, null), (4, '', '', ''), (5, repeat('é', 3000), 'x', 'y')`,
  `update plain set body = 'the big value stays where it is' where id = 1`,
  `update plain set id = 20 where id = 2`,
  `update plain set note = 'same key' where id = 4`,
  `delete from plain where id = 3`,
  `insert into typed values (1, 'glad', 'short', '{sad,glad}'), (2, null, null, '{}')`,
  `update typed set mood = 'sad' where id = 1`,
  `insert into whole values (1, 'old', ${big}), (2, null, null)`,
  `update whole set body = 'new' where id = 1`,
  `delete from whole where id = 2`,
  `insert into keyed values (1, 'a', 'x'), (2, 'b', 'y')`,
  `update keyed set code = 'c' where id = 1`,
  `delete from keyed where id = 2`,
  `alter table unkeyed replica identity nothing`,
  `insert into unkeyed values (1, 'no identity')`,
  `insert into empty default values`,
  `insert into changing values (1, 1)`,
  `alter table changing add column b text default 'added'`,
  `insert into changing values (2, 2, 'b')`,
  `alter table changing drop column a; insert into changing values (3, 'after a drop')`,
  `alter table changing rename to changed; insert into changed values (4, 'renamed')`,
  `insert into parted values (1, '2026-11-20', 'through the root')`,
  `create table parted_2 partition of parted for values from ('2027-01-01') to ('2028-01-01');
   insert into parted_2 values (2, '2027-11-20', 'into the leaf')`,
  `insert into values_of_all_sorts values (
     9007199254740993, true, -1, 1.0, 'NaN', 't', '{"a": 1.0, "a":  2}', '{"a": 1.0}',
     '019aa2b0-0000-7000-8000-000000000001', '2026-11-20 10:00:00.123456+00', 'infinity', '1 day 00:00:01',
     '\\x00ff', '{1,null,3}', '<a/>', '[1,5)')`,
  `insert into child (parent) values (1), (4)`,
  `truncate child restart identity`,
  `truncate plain, whole cascade`,
  `begin; insert into plain values (6, 'rolled back'); rollback`,
  `begin; insert into plain values (7, 'kept'); savepoint s; insert into plain values (8, 'not kept');
   rollback to s; insert into plain values (9, 'kept'); commit`,
  `copy plain (id) from program 'seq 100 119'`,
  `select pg_logical_emit_message(true, 'transactional', 'content ção')`,
  `select pg_logical_emit_message(false, 'not transactional', '')`,
  `select pg_replication_origin_create('an_origin_' || current_database())`,
  `select pg_replication_origin_session_setup('an_origin_' || current_database())`,
  `begin; select pg_replication_origin_xact_setup('0/1234ABCD', '2026-11-20 10:00:00+00');
   insert into plain values (200, 'from elsewhere'); commit`,
  `select pg_replication_origin_session_reset()`,
  `select pg_replication_origin_drop('an_origin_' || current_database())`,
];

/** The prefix of the logical message that ends a recording; it is not recorded itself. */
export const endMarker = 'end of recording';
