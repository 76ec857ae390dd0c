import type { Row, Statement } from '../adapters/transaction-adapter.ts';

/** Asks a transaction for its id; it gets one by that, as it would by the event. */
export const transactionIdStatement: Statement = {
  text: 'select pg_catalog.pg_current_xact_id()::text as transaction',
  values: [],
};

/**
 * Reads the answer to {@link transactionIdStatement}. Undefined where there is none: Prisma answers nothing at all to
 * a statement that the end of its transaction has overtaken.
 */
export function toTransactionId(rows: readonly Row[] | undefined): string | undefined {
  const id = rows?.[0]?.['transaction'];
  return typeof id === 'string' ? id : undefined;
}

/**
 * The statement, to be carried out in one transaction alone: in any other one, or in none, it does nothing and
 * answers no row. The condition has no column of the rows, so PostgreSQL looks at it once, before all else.
 *
 * @param transactionId of the top level: that of a savepoint's surrounding transaction is the same
 */
export function onlyIn(transactionId: string, { text, values }: Statement): Statement {
  const parameter = `$${values.length + 1}`;
  return {
    text: `${text} where pg_catalog.pg_current_xact_id_if_assigned()::text = ${parameter}`,
    values: [...values, transactionId],
  };
}
