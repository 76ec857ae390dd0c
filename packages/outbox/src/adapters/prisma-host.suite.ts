import { pathToFileURL } from 'node:url';
import { PrismaPg } from '@prisma/adapter-pg';
import { generatePrisma } from '../../test/generate-prisma.ts';
import type { AdapterHost } from './conformance.suite.ts';
import { fromPrisma, type PrismaTransaction } from './prisma.ts';

/** What the suite uses of the generated client, which does not exist before the test runs. */
interface Tx extends PrismaTransaction {
  readonly order: { create(options: { data: { id: string } }): Promise<unknown> };
  $transaction<T>(
    work: (tx: Tx) => Promise<T>,
    options?: { isolationLevel?: 'RepeatableRead' | 'ReadCommitted'; timeout?: number },
  ): Promise<T>;
}
type Client = Omit<Tx, '$connect'> & { $disconnect(): Promise<void>; $extends(extension: object): Client };
interface Generated {
  readonly PrismaClient: new (options: { adapter: PrismaPg }) => Client;
}

/**
 * Prisma with its driver adapter for `pg`, as an application uses it.
 *
 * @param name of the generated client's directory: one for each test file
 */
export async function prismaHost(
  name: string,
): Promise<(connectionString: string) => Promise<AdapterHost<Tx>>> {
  const url = pathToFileURL(await generatePrisma(name)).href;
  const generated = (await import(/* @vite-ignore */ url)) as Generated;
  return async (connectionString) => openPrisma(generated, new PrismaPg({ connectionString }));
}

function openPrisma(generated: Generated, adapter: PrismaPg): AdapterHost<Tx> {
  const prisma = new generated.PrismaClient({ adapter });
  const host: AdapterHost<Tx> = {
    adapter: fromPrisma(),
    transaction: (work, options) =>
      prisma.$transaction(work, {
        isolationLevel: options === undefined ? 'ReadCommitted' : 'RepeatableRead',
        timeout: 30_000,
      }),
    savepoint: (tx, work) => tx.$transaction(work),
    async insertOrder(tx, id) {
      await tx.order.create({ data: { id } });
    },
    async withoutTransaction() {
      return [
        ['the root client', prisma as unknown as Tx],
        ['an extended root client', prisma.$extends({}) as unknown as Tx],
      ];
    },
    async [Symbol.asyncDispose]() {
      await prisma.$disconnect();
    },
  };
  return host;
}
