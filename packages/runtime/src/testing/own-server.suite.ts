import { inject } from 'vitest';
import { EmbeddedPostgres } from './embedded-postgres.ts';

/**
 * A server of a test's own. It begins with a copy of what the run has prepared, roles and template of the schema
 * included, which takes a third of the time; a test of what a new server has starts one itself. All of these have the
 * same system identifier.
 *
 * @param name the package of its binaries
 * @param settings as in postgresql.conf
 */
export async function ownServer(
  name: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<EmbeddedPostgres> {
  return await EmbeddedPostgres.start({ package: name, settings, copyOf: inject('stoppedClusters')[name] });
}
