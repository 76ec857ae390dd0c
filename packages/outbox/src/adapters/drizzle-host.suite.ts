import { sql } from 'drizzle-orm';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import { pgTable, text } from 'drizzle-orm/pg-core';
import pg from 'pg';
import type { AdapterHost } from './conformance.suite.ts';
import { type DrizzleTransaction, fromDrizzle } from './drizzle.ts';

const orders = pgTable('business_order', { id: text().primaryKey() });
type Tx = Parameters<Parameters<NodePgDatabase['transaction']>[0]>[0];

/** Drizzle on `pg` as an application uses it. */
export async function openDrizzle(connectionString: string): Promise<AdapterHost<Tx & DrizzleTransaction>> {
  const pool = new pg.Pool({ connectionString });
  const db = drizzle(pool);
  const host: AdapterHost<Tx> = {
    adapter: fromDrizzle(sql),
    transaction: (work, options) =>
      db.transaction(work, { isolationLevel: options?.isolation ?? 'read committed' }),
    savepoint: (tx, work) => tx.transaction(work),
    async insertOrder(tx, id) {
      await tx.insert(orders).values({ id });
    },
    async withoutTransaction() {
      return [['the database object', db as unknown as Tx]];
    },
    async [Symbol.asyncDispose]() {
      await pool.end();
    },
  };
  return host satisfies AdapterHost<Tx & DrizzleTransaction>;
}
