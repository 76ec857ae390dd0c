import type { Row, Statement, TransactionAdapter } from './transaction-adapter.ts';

/** What is needed of a Drizzle transaction. The database object does not fit: it has no `rollback`. */
export interface DrizzleTransaction {
  execute(query: never): PromiseLike<unknown>;
  rollback(): never;
}

/** Drizzle's own template tag: `import { sql } from 'drizzle-orm'`. */
export type DrizzleSql = (strings: TemplateStringsArray, ...values: Array<string | null>) => unknown;

/**
 * For Drizzle on PostgreSQL: `emit` takes the `tx` of `db.transaction(async (tx) => ...)`, nested ones too.
 *
 * @param sql the `sql` of your own drizzle-orm: a query made by another copy would not be accepted
 */
export function fromDrizzle(sql: DrizzleSql): TransactionAdapter<DrizzleTransaction> {
  return {
    library: 'Drizzle',
    async execute(tx, statement) {
      const query = sql(asTemplate(statement), ...statement.values);
      const result = await tx.execute(query as never);
      return rowsOf(result);
    },
    inTransaction(tx) {
      if (typeof (tx as { rollback?: unknown }).rollback !== 'function') return false;
      // Not documented by Drizzle, so only trusted when it is there: the connection below a `tx` that
      // was kept after its transaction ended.
      const status = (tx as DrizzleInternals).session?.client?.getTransactionStatus?.();
      return typeof status === 'string' ? status !== 'I' : undefined;
    },
  };
}

interface DrizzleInternals {
  readonly session?: { readonly client?: { getTransactionStatus?(): unknown } };
}

/** The text between the placeholders, as a template tag receives it. */
function asTemplate(statement: Statement): TemplateStringsArray {
  const strings = statement.text.split(/\$\d+/);
  return Object.assign(strings, { raw: strings });
}

/** node-postgres answers an object with `rows`, postgres.js the rows themselves. */
function rowsOf(result: unknown): readonly Row[] {
  return Array.isArray(result) ? (result as Row[]) : (result as { rows: Row[] }).rows;
}
