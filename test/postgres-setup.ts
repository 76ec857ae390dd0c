import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { EmbeddedPostgres } from '../packages/runtime/src/testing/embedded-postgres.ts';
import {
  allDays,
  createMigratedTemplate,
  fewDays,
} from '../packages/runtime/src/testing/migrated-database.ts';
import type { StoppedCluster } from '../packages/runtime/src/testing/stopped-cluster.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Superuser connection strings, by major version. */
    readonly postgres: Readonly<Record<'15' | '18', string>>;
    /** What a test file's own server begins with, by the package of its binaries. */
    readonly stoppedClusters: Readonly<Record<string, StoppedCluster>>;
  }
}

const settings = {
  fsync: 'off',
  synchronous_commit: 'on',
  full_page_writes: 'off',
  max_slot_wal_keep_size: '2GB',
  max_prepared_transactions: '10',
  max_replication_slots: '100',
  max_wal_senders: '60',
};

/** Starts both ends of the supported range once for the whole run; a test file makes databases of its own. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'event-runtime-pg-'));
  const start = async (name: string): Promise<{ server: EmbeddedPostgres; copy: StoppedCluster }> => {
    const server = await EmbeddedPostgres.start({ package: name, settings });
    await createMigratedTemplate(server.url, fewDays);
    const copy = await server.stopped(join(folder, name));
    await createMigratedTemplate(server.url, allDays);
    return { server, copy };
  };
  const [old, recent] = await Promise.all([start('embedded-postgres-15'), start('embedded-postgres')]);
  project.provide('postgres', { '15': old.server.url, '18': recent.server.url });
  project.provide('stoppedClusters', { 'embedded-postgres-15': old.copy, 'embedded-postgres': recent.copy });
  return async () => {
    await Promise.all([old.server.stop(), recent.server.stop()]);
    await rm(folder, { recursive: true, force: true });
  };
}
