import { describe, expect, inject, test } from 'vitest';
import { detachTable, findAttached, planAttachment } from './attach.ts';
import { AttachedFixture } from './attached-fixture.suite.ts';
import { parseMapping } from './mapping.ts';

const pairs = ['event_type=:a', 'payload=data', 'tenant=:acme'];

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  const create = async (): Promise<AttachedFixture> =>
    await AttachedFixture.create(inject('postgres')[major]);

  test('a number as id: every row is an event, in two tables, after TRUNCATE, in a table made anew, beside emit', async () => {
    await using fixture = await create();
    const { sql } = fixture;
    for (const name of ['orders', 'bills']) {
      await sql.query(`create table ${name} (id bigserial primary key, data json)`);
      await fixture.attach(name, [...pairs, 'event_id=id']);
    }
    await sql.query("select event_runtime.emit('a', '1', tenant_id => 'acme', idempotency_key => '1')");
    await sql.query("insert into orders (data) values ('2')");
    await sql.query("insert into bills (data) values ('3')");
    await sql.query('truncate orders restart identity');
    await sql.query("insert into orders (data) values ('4')");
    await sql.query('drop table bills; create table bills (id bigserial primary key, data json)');
    await fixture.attach('bills', [...pairs, 'event_id=id']);
    await sql.query("insert into bills (data) values ('5')");
    expect(await fixture.payloads()).toEqual(['1', '2', '3', '4', '5']);
  });

  test('a key that is mapped is of its table alone: a second row is no event, a row of another table is', async () => {
    await using fixture = await create();
    const { sql } = fixture;
    // What a name is changed to for the function, and what is cut off it, makes no two tables one.
    const names = ['"a-b"', '"a b"', `${'x'.repeat(60)}1`, `${'x'.repeat(60)}2`];
    for (const [n, name] of names.entries()) {
      await sql.query(`create table ${name} (key text, data json)`);
      await fixture.attach(name, [...pairs, 'idempotency_key=key']);
      await sql.query(`insert into ${name} values ('k', '${n}')`);
      await sql.query(`insert into ${name} values ('k', '-1')`);
      // So that the next one could have its function's name.
      await detachTable(sql, { attached: await findAttached(sql, name) });
    }
    await sql.query("select event_runtime.emit('a', '4', tenant_id => 'acme', idempotency_key => 'k')");
    expect(await fixture.payloads()).toEqual(['0', '1', '2', '3', '4']);
  });

  test('a key of several columns says which part is whose', async () => {
    await using fixture = await create();
    const { sql } = fixture;
    await sql.query('create table t (a text, b text, data json)');
    await fixture.attach('t', [...pairs, 'idempotency_key=a+b', 'entity_key=a+b']);
    await sql.query(`insert into t values ('a/b', 'c', '1'), ('a', 'b/c', '2'), ('a~1b', 'c', '3'), ('a', 'b~1c', '4'),
      ('a/b', 'c', '5')`);
    expect(await fixture.events()).toMatchObject([
      { payload: '1', entity_key: 'a/b/c', idempotency_key: 'attached_public_t:key:a~1b/c' },
      { payload: '2', entity_key: 'a/b/c' },
      { payload: '3', idempotency_key: 'attached_public_t:key:a~01b/c' },
      { payload: '4' },
    ]);
  });

  test('a moved row is an event again once its key is gone, and where it was there before', async () => {
    await using fixture = await create();
    const { sql } = fixture;
    await sql.query(
      `create table queue (id uuid not null default gen_random_uuid(), data json, done bool default false) partition by list (done);
       create table queue_open partition of queue for values in (false);
       create table queue_done partition of queue for values in (true);
       insert into queue (data) values ('1')`,
    );
    await fixture.attach('queue', [...pairs, 'event_id=id']);
    await sql.query("insert into queue (data) values ('2'), ('3')");
    // As the pruner does after retention.keyDays.
    await sql.query(
      `delete from event_runtime.outbox_key k using event_runtime.outbox o
        where o.event_id = k.event_id and o.payload::text = '2'`,
    );
    await sql.query('update queue set done = true');
    expect((await fixture.payloads()).toSorted()).toEqual(['1', '2', '2', '3']);
  });

  test('an id is unique by a valid index of all rows that has it as its one key', async () => {
    await using fixture = await create();
    const { sql } = fixture;
    await sql.query(
      `create table parts (id uuid not null, a uuid not null, data json) partition by hash (id);
       create table parts_0 partition of parts for values with (modulus 1, remainder 0)`,
    );
    const warned = async (): Promise<boolean> => {
      const mapping = parseMapping([...pairs, 'event_id=id']);
      const { warnings } = await planAttachment(sql, { table: 'parts', mapping });
      return warnings.some((each) => each.startsWith('no unique index has public.parts.id alone'));
    };
    for (const [index, expected] of [
      ['index on parts (id)', true],
      ['unique index on parts (id, a)', true],
      ['unique index on parts (a, id)', true],
      ['unique index on parts (id) where a is not null', true],
      ['unique index on only parts (id)', true],
      ['unique index on parts (id) include (a)', false],
    ] as const) {
      await sql.query(`create ${index.replace(' on', ' tried on')}`);
      expect([index, await warned()]).toEqual([index, expected]);
      await sql.query('drop index tried');
    }
    await sql.query(
      `drop table parts; create table parts (id uuid not null, a uuid not null, data json) partition by hash (a);
       create unique index on parts (a) include (id)`,
    );
    expect(await warned()).toBe(true);
  });

  test('a partitioned table: the id, or a key before it; a number only where it is promised', async () => {
    await using fixture = await create();
    const { sql } = fixture;
    await sql.query(
      `create table queue (id uuid not null, n bigserial, key text, data json, done bool default false) partition by list (done);
       create table queue_open partition of queue for values in (false);
       create table queue_done partition of queue for values in (true)`,
    );
    for (const map of [['event_id=n'], ['event_id=n', 'idempotency_key=key']]) {
      await expect(fixture.attach('queue', [...pairs, ...map])).rejects.toMatchObject({
        code: 'ER1402',
        message: expect.stringContaining('event_id: public.queue is partitioned, and numbers begin anew'),
      });
    }
    for (const map of ['idempotency_key=n', 'idempotency_key=id+n']) {
      const mapping = parseMapping([...pairs, 'event_id=n', map]);
      const promised = await planAttachment(sql, { table: 'queue', mapping });
      expect(promised.warnings).toContainEqual(
        expect.stringMatching(/^idempotency_key has a number: .* 30 days/),
      );
    }
    const plan = await fixture.attach('queue', [...pairs, 'event_id=id', 'idempotency_key=key']);
    expect(plan.warnings).toContainEqual(
      expect.stringMatching(/^public\.queue is partitioned: .* 30 days \(retention\.keyDays\)/),
    );
    const id = '0198c0de-7b8e-7c11-9d0c-0b6b7f4f3b10';
    // The third has the second's id as its key, which is another thing.
    await sql.query(
      `insert into queue (id, key, data) values (gen_random_uuid(), 'k', '1'), ($1, null, '2'), (gen_random_uuid(), $1::text, '3')`,
      [id],
    );
    await sql.query('update queue set done = true');
    expect(await fixture.events()).toMatchObject([
      { payload: '1', idempotency_key: 'attached_public_queue:key:k' },
      { payload: '2', idempotency_key: `attached_public_queue:id:${id}` },
      { payload: '3', idempotency_key: `attached_public_queue:key:${id}` },
    ]);
  });
});
