import pg from 'pg';
import type { AdapterHost } from './conformance.suite.ts';
import { fromPg, type PgTransaction } from './pg.ts';

/** `pg` as an application uses it. */
export async function openPg(connectionString: string): Promise<AdapterHost<PgTransaction>> {
  const pool = new pg.Pool({ connectionString });
  const idle = await pool.connect();
  const host: AdapterHost<PgTransaction> = {
    adapter: fromPg(),
    async transaction(work, options) {
      const client = await pool.connect();
      try {
        await client.query(`begin isolation level ${options?.isolation ?? 'read committed'}`);
        const result = await work(client);
        await client.query('commit');
        return result;
      } catch (error) {
        await client.query('rollback');
        throw error;
      } finally {
        client.release();
      }
    },
    async savepoint(tx, work) {
      await tx.query('savepoint inner_work', []);
      try {
        return await work(tx);
      } catch (error) {
        await tx.query('rollback to savepoint inner_work', []);
        throw error;
      }
    },
    async insertOrder(tx, id) {
      await tx.query('insert into business_order (id) values ($1)', [id]);
    },
    async withoutTransaction() {
      return [
        ['a pool', pool as unknown as PgTransaction],
        ['a client before BEGIN', idle],
        ['nothing', undefined as unknown as PgTransaction],
      ];
    },
    async [Symbol.asyncDispose]() {
      idle.release();
      await pool.end();
    },
  };
  return host;
}
