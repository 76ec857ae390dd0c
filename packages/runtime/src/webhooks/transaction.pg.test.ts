import pg from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { createTestDatabase } from '../testing/test-database.ts';
import { transaction } from './transaction.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  test('a process that is stopped in the middle loses its locks before a lease is over', async () => {
    await using database = await createTestDatabase(inject('postgres')[major]);
    const pool = new pg.Pool({ connectionString: database.url, max: 2 });
    pool.on('error', () => undefined);
    try {
      const stopped = Promise.withResolvers<void>();
      const holding = Promise.withResolvers<void>();
      const lost = transaction(pool, async (client) => {
        await client.query('select pg_advisory_xact_lock(1)');
        holding.resolve();
        await stopped.promise;
      });
      await holding.promise;
      // A lease lasts 3.5 s.
      await pool.query(`set lock_timeout = '3400ms'; select pg_advisory_lock(1)`);
      stopped.resolve();
      await expect(lost).rejects.toThrow();
      // The connection that failed is not lent again.
      expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    } finally {
      await pool.end();
    }
  });
});
