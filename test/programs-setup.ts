import type { TestProject } from 'vitest/node';
import { findService } from '../scripts/services/services.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Path of the pgbouncer program; undefined where there is none, and the tests that need it skip. */
    readonly pgbouncer: string | undefined;
    /** Path of pg_dump, with pg_restore beside it; undefined where there is none, and the tests that need it skip. */
    readonly pgDump: string | undefined;
  }
}

/** Looks for programs that some tests want beside PostgreSQL, and fetches nothing: `npm test` and `npm run services` do that. */
export default async function setup(project: TestProject): Promise<void> {
  project.provide('pgbouncer', await findService('pgbouncer'));
  project.provide('pgDump', await findService('pg-client'));
}
