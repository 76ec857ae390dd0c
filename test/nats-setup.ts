import type { TestProject } from 'vitest/node';
import { findService } from '../scripts/services/services.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Path of the nats-server program; undefined where there is none, and the tests that need it skip. */
    readonly natsServer: string | undefined;
  }
}

/** Looks for nats-server, and fetches nothing: `npm test` and `npm run services` do that. */
export default async function setup(project: TestProject): Promise<void> {
  project.provide('natsServer', await findService('nats-server'));
}
