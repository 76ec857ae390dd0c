import { describe, expect, inject, test } from 'vitest';
import { attachTable, planAttachment } from './attach.ts';
import { AttachedFixture } from './attached-fixture.suite.ts';
import { parseMapping } from './mapping.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  test('busy partitions, one after the other: an attempt lets go after its time, and not after that of each', async () => {
    await using fixture = await AttachedFixture.create(inject('postgres')[major]);
    const { sql } = fixture;
    const numbers = Array.from({ length: 20 }, (_, n) => n);
    await sql.query('create table busy (id uuid not null, n int, data json) partition by list (n)');
    for (const n of numbers) await sql.query(`create table busy_${n} partition of busy for values in (${n})`);
    const holder = await fixture.database.connect();
    await holder.query('begin');
    // The last is let go first; partitions are locked in the order in which they were made.
    for (const n of numbers.toReversed()) {
      await holder.query(`savepoint busy_${n}; lock table busy_${n} in row exclusive mode`);
    }
    const plan = await planAttachment(sql, {
      table: 'busy',
      mapping: parseMapping(['event_type=:a', 'payload=data', 'tenant=:acme', 'event_id=id']),
    });
    let ended = false;
    const attempt = attachTable(sql, { plan, lockTimeoutMs: 5_000, attempts: 1 })
      .then(
        () => 'attached',
        (error: unknown) => error,
      )
      .finally(() => {
        ended = true;
      });
    const watcher = await fixture.database.connect();
    for (const n of numbers) {
      const waited = async (): Promise<boolean> => {
        const { rows } = await watcher.query(
          'select from pg_locks l where l.relation = $1::regclass and not l.granted',
          [`busy_${n}`],
        );
        return ended || rows.length > 0;
      };
      await expect.poll(waited, { timeout: 60_000, interval: 10 }).toBe(true);
      // Shorter than the time for one lock; for all of them, longer than that for the statement.
      await watcher.query('select pg_sleep(0.6)');
      await holder.query(`rollback to busy_${n}`);
    }
    expect(await attempt).toMatchObject({ code: 'ER1407', cause: { code: '57014' } });
    await attachTable(sql, { plan });
    const { rows } = await sql.query("select from pg_trigger where tgname = 'event_runtime_emit'");
    expect(rows).toHaveLength(1 + numbers.length);
  });
});
