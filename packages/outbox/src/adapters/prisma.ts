import type { Row, TransactionAdapter } from './transaction-adapter.ts';

/** What is needed of Prisma's interactive transaction client. A root PrismaClient does not fit. */
export interface PrismaTransaction {
  $queryRawUnsafe<T = unknown>(query: string, ...values: Array<string | null>): PromiseLike<T>;
  readonly $connect?: never;
}

/**
 * For Prisma: `emit` takes the `tx` of `prisma.$transaction(async (tx) => ...)`, nested ones too.
 *
 * The root client is told by `$connect`, which Prisma takes out of transaction clients; `$transaction`
 * is there in both since transactions nest.
 */
export function fromPrisma(): TransactionAdapter<PrismaTransaction> {
  return {
    library: 'Prisma',
    async execute(tx, statement) {
      return await tx.$queryRawUnsafe<Row[]>(statement.text, ...statement.values);
    },
    inTransaction(tx) {
      return typeof (tx as { $connect?: unknown }).$connect !== 'function';
    },
  };
}
