import { PgBouncer, type PgBouncerOptions } from '../../runtime/src/testing/pgbouncer.ts';
import type { AdapterHost } from '../src/adapters/conformance.suite.ts';

/** A library that connects through a PgBouncer in transaction mode, which goes when the library's host does. */
export function pooled<Transaction>(
  open: (connectionString: string) => Promise<AdapterHost<Transaction>>,
  options: Omit<PgBouncerOptions, 'servers'>,
): (connectionString: string) => Promise<AdapterHost<Transaction>> {
  return async (connectionString) => {
    const pooler = await PgBouncer.start({ ...options, servers: [connectionString] });
    const host = await open(pooler.url(connectionString));
    return {
      ...host,
      async [Symbol.asyncDispose]() {
        await host[Symbol.asyncDispose]();
        await pooler[Symbol.asyncDispose]();
      },
    };
  };
}
