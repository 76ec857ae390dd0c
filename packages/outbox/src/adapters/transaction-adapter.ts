/** One SQL statement, as every driver can run it. */
export interface Statement {
  /** PostgreSQL text; the placeholders `$1` to `$n` occur once each, in this order. */
  readonly text: string;
  /** Texts and nulls only; the statement casts them. */
  readonly values: ReadonlyArray<string | null>;
}

/** A result row by column name. The statements of this package answer texts only. */
export type Row = Readonly<Record<string, unknown>>;

/**
 * How a statement reaches the caller's own transaction, for one database library.
 *
 * Structural: an adapter imports no library, so the library stays the application's choice. Write your
 * own for a library that has none here; the four rules:
 * the statement runs in the transaction that `transaction` stands for, on its connection, once; the rows
 * come back in the result's order; the library's errors are thrown as they are; `inTransaction` answers
 * without asking the database.
 */
export interface TransactionAdapter<Transaction> {
  /** The library's name, for messages. */
  readonly library: string;
  execute(transaction: Transaction, statement: Statement): Promise<readonly Row[]>;
  /** False refuses the emit with ER2003; undefined when the library cannot tell. */
  inTransaction(transaction: Transaction): boolean | undefined;
}
