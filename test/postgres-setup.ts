import type { TestProject } from 'vitest/node';
import { EmbeddedPostgres } from '../packages/runtime/src/testing/embedded-postgres.ts';
import { createMigratedTemplate } from '../packages/runtime/src/testing/migrated-database.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Superuser connection strings, by major version. */
    readonly postgres: Readonly<Record<'15' | '18', string>>;
  }
}

/** Starts both ends of the supported range once for the whole run; a test file makes databases of its own. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const settings = {
    fsync: 'off',
    synchronous_commit: 'on',
    full_page_writes: 'off',
    max_slot_wal_keep_size: '2GB',
    max_prepared_transactions: '10',
    max_replication_slots: '100',
    max_wal_senders: '60',
  };
  const [old, recent] = await Promise.all([
    EmbeddedPostgres.start({ package: 'embedded-postgres-15', settings }),
    EmbeddedPostgres.start({ package: 'embedded-postgres', settings }),
  ]);
  await Promise.all([old, recent].map(async ({ url }) => await createMigratedTemplate(url)));
  project.provide('postgres', { '15': old.url, '18': recent.url });
  return async () => {
    await Promise.all([old.stop(), recent.stop()]);
  };
}
