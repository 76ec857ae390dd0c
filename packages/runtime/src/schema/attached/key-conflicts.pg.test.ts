import type pg from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { AttachedFixture } from './attached-fixture.suite.ts';

const pairs = ['event_type=:a', 'payload=data', 'tenant=:acme', 'event_id=id'];

async function refusal(work: Promise<unknown>): Promise<unknown> {
  return await work.then(
    () => 'none',
    (cause: unknown) => cause,
  );
}

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  /** Two producers, each in a transaction, and a table. */
  const create = async (
    map: readonly string[],
  ): Promise<{ readonly fixture: AttachedFixture; readonly one: pg.Client; readonly two: pg.Client }> => {
    const fixture = await AttachedFixture.create(inject('postgres')[major]);
    await fixture.sql.query('create table t (id int, key text, data json)');
    await fixture.attach('t', [...pairs, ...map]);
    const [one, two] = [await fixture.database.connect(), await fixture.database.connect()];
    return { fixture, one, two };
  };
  const insert = async (client: pg.Client, key: string): Promise<unknown> =>
    await client.query(`insert into t values (1, '${key}', '{}')`);
  const begin = "begin; set local lock_timeout = '200ms'";

  test('without a key, rows with the same id wait for nobody', async () => {
    const { fixture, one, two } = await create([]);
    await using _ = fixture;
    await one.query(begin);
    await two.query('begin isolation level repeatable read; select from t');
    await two.query("set local lock_timeout = '200ms'");
    await insert(one, 'a');
    await insert(two, 'a');
    await one.query('commit');
    await insert(two, 'a');
    await two.query('commit');
    expect(await fixture.events()).toHaveLength(3);
  });

  test('with one: 55P03 while the other is unfinished, 40001 after its commit, 40P01 in another order', async () => {
    const { fixture, one, two } = await create(['idempotency_key=key']);
    await using _ = fixture;
    await one.query(begin);
    await two.query(begin);
    await insert(one, 'a');
    expect(await refusal(insert(two, 'a'))).toMatchObject({ code: '55P03' });
    await two.query('rollback; begin isolation level repeatable read; select from t');
    await one.query('commit');
    expect(await refusal(insert(two, 'a'))).toMatchObject({ code: '40001' });
    await two.query('rollback; begin');
    await one.query('begin');
    await insert(one, 'b');
    await insert(two, 'c');
    const last = async (client: pg.Client, key: string): Promise<unknown> => {
      const ended = await refusal(insert(client, key));
      await client.query('rollback');
      return ended;
    };
    const ended = await Promise.all([last(one, 'c'), last(two, 'b')]);
    expect(ended).toContainEqual(expect.objectContaining({ code: '40P01' }));
  });
});
