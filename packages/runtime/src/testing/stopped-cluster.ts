import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** The files of a server that was stopped, to begin other ones with: see `EmbeddedPostgresOptions.copyOf`. */
export interface StoppedCluster {
  readonly dataDirectory: string;
  /** The superuser's. */
  readonly password: string;
}

/** The files belong to whom they belonged to, as PostgreSQL demands; Node's own copy makes them ours. */
export async function copyWithOwners(from: string, to: string): Promise<void> {
  await promisify(execFile)('cp', ['-Rp', from, to]);
}
