import type { ClientBase } from 'pg';

/** Runs work in a READ COMMITTED transaction, once a lock is taken: its statements see what was committed before. */
export async function locked<T>(client: ClientBase, lock: string, work: () => Promise<T>): Promise<T> {
  await client.query(
    "begin isolation level read committed; set local idle_in_transaction_session_timeout = '10s'",
  );
  try {
    await client.query(lock);
    const result = await work();
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}
