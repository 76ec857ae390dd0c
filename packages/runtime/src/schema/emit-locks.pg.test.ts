import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { createMigratedDatabase, fewDays, type MigratedDatabase } from '../testing/migrated-database.ts';

interface Locks {
  readonly taken: readonly string[];
  readonly waits: boolean;
}

/** The advisory locks of a session, by their numbers. */
async function locksOf(client: pg.Client, pid: number): Promise<Locks> {
  const { rows } = await client.query<{ key: string; granted: boolean }>(
    `select (l.classid::bigint << 32 | l.objid::bigint)::text as key, l.granted
       from pg_locks l where l.locktype = 'advisory' and l.pid = $1`,
    [pid],
  );
  const taken = rows.filter(({ granted }) => granted).map(({ key }) => key);
  return { taken: taken.toSorted(), waits: taken.length < rows.length };
}

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let database: MigratedDatabase;
  beforeAll(async () => {
    database = await createMigratedDatabase(inject('postgres')[major], fewDays);
  });
  afterAll(() => database[Symbol.asyncDispose]());

  // Two calls of the same entities would not show it: unsorted, both would take them as one hash table has them.
  test('emit_many takes the locks of its entities by their numbers, in whatever order they come', async () => {
    const [observer, holder, writer] = [
      await database.connect(),
      await database.connect(),
      await database.connect(),
    ];
    const { processID } = writer as unknown as { readonly processID: number };
    const entities = Array.from({ length: 40 }, (_, index) => `entity ${index}`);
    const { rows } = await observer.query<{ key: string }>(
      `select k.key::text
         from unnest($1::text[]) e(entity)
        cross join lateral hashtextextended(e.entity, hashtextextended('acme', 0)) k(key) order by k.key`,
      [entities],
    );
    const keys = rows.map(({ key }) => key);
    for (const given of [entities, entities.toReversed()]) {
      await holder.query('begin');
      await holder.query('select pg_advisory_xact_lock($1)', [keys[25]]);
      const writing = writer.query(
        `select 1 from event_runtime.emit_many(array_fill('e'::text, array[40]), array_fill('1'::json, array[40]),
           array['acme'], $1, lock_entity => true)`,
        [given],
      );
      let locks = await locksOf(observer, processID);
      while (!locks.waits) locks = await locksOf(observer, processID);
      await holder.query('rollback');
      await writing;
      expect(locks.taken).toEqual(keys.slice(0, 25).toSorted());
    }
  });
});
