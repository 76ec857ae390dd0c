import type { Row, TransactionAdapter } from './transaction-adapter.ts';

/** What is needed of a `pg` Client or PoolClient. A Pool does not fit: its queries may go anywhere. */
export interface PgTransaction {
  query(text: string, values: Array<string | null>): Promise<{ readonly rows: Row[] }>;
  /** pg 8.21 and later: I idle, T in a transaction, E in a failed one, null before the first answer. */
  getTransactionStatus?(): string | null;
  readonly totalCount?: never;
}

/**
 * For `pg`: `emit` takes the Client or PoolClient on which BEGIN was awaited.
 *
 * A Pool is refused always. A client without a transaction is refused from pg 8.21 on; older
 * versions cannot tell.
 */
export function fromPg(): TransactionAdapter<PgTransaction> {
  return {
    library: 'pg',
    async execute(client, statement) {
      return (await client.query(statement.text, [...statement.values])).rows;
    },
    inTransaction(client) {
      if ('totalCount' in client && 'idleCount' in client) return false;
      const status = client.getTransactionStatus?.();
      return status === undefined ? undefined : status === 'T' || status === 'E';
    },
  };
}
