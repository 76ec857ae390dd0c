import type { ClientBase } from 'pg';
import { runtimeError } from '../errors/codes.ts';

/** What a server says of itself. */
export interface ServerFacts {
  /** As in `server_version_num`: 150018 is 15.18. */
  readonly versionNumber: number;
  readonly encoding: string;
}

/** What the server and this database are. */
export async function readServerFacts(client: ClientBase): Promise<ServerFacts> {
  const { rows } = await client.query<ServerFacts>(
    `select current_setting('server_version_num')::int as "versionNumber",
            current_setting('server_encoding') as encoding`,
  );
  const facts = rows[0];
  if (facts === undefined) throw runtimeError('ER1001', { detail: 'The server gave no answer.' });
  return facts;
}

/**
 * Whether we can work on such a server.
 *
 * @returns a warning in words for a newer major version than was tested, else undefined
 * @throws ER1005 not UTF8, ER1006 older than 15
 */
export function checkServer(facts: ServerFacts): string | undefined {
  const major = Math.floor(facts.versionNumber / 10_000);
  if (major < 15) throw runtimeError('ER1006', { detail: `It is PostgreSQL ${major}.` });
  if (facts.encoding !== 'UTF8')
    throw runtimeError('ER1005', { detail: `It is encoded in ${facts.encoding}.` });
  return major > 18 ? `PostgreSQL ${major} is newer than the versions tested (15 to 18).` : undefined;
}
