import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { createMigratedDatabase, type MigratedDatabase } from '../testing/migrated-database.ts';
import { pruneKeys } from './pruner.ts';

interface Emitted {
  readonly event_id: string;
  readonly duplicate: boolean;
}

const callers = 50;

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let database: MigratedDatabase;
  let observer: pg.Client;
  let clients: readonly pg.Client[];
  beforeAll(async () => {
    database = await createMigratedDatabase(inject('postgres')[major]);
    observer = await database.connect();
    clients = await Promise.all(Array.from({ length: callers }, () => database.connect()));
  });
  afterAll(() => database[Symbol.asyncDispose]());

  const emit = async (client: pg.Client, key: string): Promise<Emitted> =>
    (
      await client.query<Emitted>(
        "select event_id, duplicate from event_runtime.emit('paid', '1', 't1', idempotency_key => $1)",
        [key],
      )
    ).rows[0] as Emitted;
  const kept = async (key: string): Promise<readonly string[]> =>
    (
      await observer.query<{ event_id: string }>(
        'select event_id from event_runtime.outbox where idempotency_key = $1',
        [key],
      )
    ).rows.map((row) => row.event_id);
  const untilWaiting = async (count: number): Promise<void> => {
    for (;;) {
      const { rows } = await observer.query<{ waiting: number }>(
        "select count(*)::int as waiting from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      );
      if (rows[0]?.waiting === count) return;
    }
  };

  test('50 concurrent emits of one key, the first commits while the others wait: one row, one id for all', async () => {
    const [first, ...others] = clients;
    if (first === undefined) throw new Error('no client');
    await first.query('begin');
    const winner = await emit(first, 'committed');
    const waiting = others.map(async (client, index) => {
      await client.query('begin');
      const told = await emit(client, 'committed');
      await client.query(index % 3 === 0 ? 'rollback' : 'commit');
      return told;
    });
    await untilWaiting(callers - 1);
    await first.query('commit');
    const told = await Promise.all(waiting);
    expect(winner.duplicate).toBe(false);
    expect(told).toEqual(told.map(() => ({ event_id: winner.event_id, duplicate: true })));
    expect(await kept('committed')).toEqual([winner.event_id]);
  });

  test('50 concurrent emits of one key, the first ones roll back: the next one is the one', async () => {
    let holding = 0;
    const outcomes = await Promise.all(
      clients.map(async (client) => {
        await client.query('begin');
        const told = await emit(client, 'rolled back');
        if (told.duplicate) {
          await client.query('commit');
          return told;
        }
        holding += 1;
        // The first nine that are told "new" take it back.
        if (holding < 10) {
          await client.query('rollback');
          return undefined;
        }
        await client.query('commit');
        return told;
      }),
    );
    const committed = outcomes.filter((told) => told !== undefined);
    expect(holding).toBe(10);
    expect(committed).toHaveLength(callers - 9);
    expect(committed.filter((told) => !told.duplicate)).toHaveLength(1);
    const ids = new Set(committed.map((told) => told.event_id));
    expect([...ids]).toEqual(await kept('rolled back'));
  });

  test("a key of yesterday's event is a duplicate of it, for 50 callers at once", async () => {
    const yesterday = "now() - interval '1 day'";
    const { rows } = await observer.query<{ event_id: string }>(
      `with event as (
         insert into event_runtime.outbox (event_id, tenant_id, event_type, idempotency_key, payload, recorded_at)
         values (event_runtime.uuid_v7(), 't1', 'paid', 'yesterday', '1', ${yesterday})
         returning event_id, recorded_at)
       insert into event_runtime.outbox_key (tenant_id, idempotency_key, event_id, recorded_at, claimed_at)
       select 't1', 'yesterday', event_id, recorded_at, recorded_at from event returning event_id`,
    );
    const told = await Promise.all(clients.map((client) => emit(client, 'yesterday')));
    expect(told).toEqual(told.map(() => ({ event_id: rows[0]?.event_id, duplicate: true })));
    expect(await kept('yesterday')).toHaveLength(1);
  });

  test('keys are per tenant', async () => {
    const { rows } = await observer.query<Emitted>(
      `select (event_runtime.emit('e', '1', t, idempotency_key => 'per tenant')).duplicate
         from unnest(array['a', 'b', 'a']) t`,
    );
    expect(rows.map((row) => row.duplicate)).toEqual([false, false, true]);
  });

  test('an expired key is free once the pruner forgot it; a live key and a held key stay', async () => {
    const [holder] = clients;
    if (holder === undefined) throw new Error('no client');
    const old = await emit(observer, 'expired');
    const held = await emit(observer, 'held');
    await emit(observer, 'live');
    await observer.query(
      "update event_runtime.outbox_key set claimed_at = now() - interval '31 days' where event_id = any($1)",
      [[old.event_id, held.event_id]],
    );
    await holder.query('begin');
    await holder.query("select 1 from event_runtime.outbox_key where idempotency_key = 'held' for update");
    const before = new Date(Date.now() - 30 * 86_400_000);
    expect(await pruneKeys(observer, { before, batchSize: 1 })).toBe(1);
    await holder.query('commit');
    expect((await emit(observer, 'expired')).duplicate).toBe(false);
    expect(await emit(observer, 'held')).toEqual({ event_id: held.event_id, duplicate: true });
    expect((await emit(observer, 'live')).duplicate).toBe(true);
    expect(await kept('expired')).toHaveLength(2);
    expect(await pruneKeys(observer, { before })).toBe(1);
  });

  test('emit_many: claimed keys, new keys, keys twice in one call and no key, each told right', async () => {
    const first = await emit(observer, 'many-1');
    const { rows } = await observer.query<Emitted & { ordinal: number }>(
      `select ordinal, event_id, duplicate
         from event_runtime.emit_many(array_fill('paid'::text, array[6]), array['1','2','3','4','5','6']::json[],
                array['t1'], idempotency_keys => array['many-2', 'many-1', null, 'many-2', 'many-3', null])`,
    );
    expect(rows.map((row) => row.duplicate)).toEqual([false, true, false, true, false, false]);
    expect(rows[1]?.event_id).toBe(first.event_id);
    expect(rows[3]?.event_id).toBe(rows[0]?.event_id);
    const written = await observer.query<{ payload: string }>(
      'select payload::text from event_runtime.outbox where event_id = any($1) order by seq',
      [rows.map((row) => row.event_id)],
    );
    expect(written.rows.map((row) => row.payload)).toEqual(['1', '1', '3', '5', '6']);
  });

  test('emit_many with the same keys in opposite orders, at once: no deadlock, each key once', async () => {
    const pair = clients.slice(0, 2);
    for (let round = 0; round < 10; round += 1) {
      const keys = Array.from({ length: 100 }, (_, index) => `round-${round}-${(index * 37) % 100}`);
      const calls = pair.map((client, index) =>
        client.query<Emitted>(
          `select duplicate from event_runtime.emit_many(array_fill('paid'::text, array[100]),
             array_fill('1'::json, array[100]), array['t1'], $1, idempotency_keys => $1, lock_entity => $2)`,
          [index === 0 ? keys : keys.toReversed(), round % 2 === 0],
        ),
      );
      const told = (await Promise.all(calls)).flatMap((call) => call.rows);
      expect(told.filter((row) => !row.duplicate)).toHaveLength(100);
    }
  });

  test('under REPEATABLE READ a key that was claimed since the snapshot is 40001, to be run again', async () => {
    const [reader, writer] = clients;
    if (reader === undefined || writer === undefined) throw new Error('no client');
    for (const key of ['repeatable', 'repeatable-many']) {
      await reader.query('begin isolation level repeatable read');
      await reader.query('select count(*) from event_runtime.outbox');
      const first = await emit(writer, key);
      const call =
        key === 'repeatable'
          ? emit(reader, key)
          : reader.query(
              "select * from event_runtime.emit_many(array['e'], array['1']::json[], array['t1'], idempotency_keys => array[$1])",
              [key],
            );
      await expect(call).rejects.toMatchObject({ code: '40001' });
      await reader.query('rollback');
      await reader.query('begin isolation level repeatable read');
      expect(await emit(reader, key)).toEqual({ event_id: first.event_id, duplicate: true });
      await reader.query('commit');
    }
  });
});
