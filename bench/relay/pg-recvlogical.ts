import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** The reference: PostgreSQL's own client, which reads and throws away. */
export interface ReferenceOptions {
  readonly url: string;
  readonly slot: string;
  /** Where it ends. */
  readonly endLsn: string;
}

/** Reads a slot to an LSN. @returns seconds, with the start of the program @throws when it cannot be run */
export async function readWithPgRecvlogical(options: ReferenceOptions): Promise<number> {
  const at = new URL(options.url);
  const began = performance.now();
  const child = spawn(
    process.env['PG_RECVLOGICAL'] ?? 'pg_recvlogical',
    [
      ...[
        '-h',
        at.hostname,
        '-p',
        at.port,
        '-U',
        decodeURIComponent(at.username),
        '-d',
        at.pathname.slice(1),
      ],
      ...['-S', options.slot, '--start', '--no-loop', '-f', '/dev/null', '-E', options.endLsn],
      ...['-o', 'proto_version=1', '-o', 'publication_names=event_runtime'],
    ],
    {
      env: { ...process.env, PGPASSWORD: decodeURIComponent(at.password) },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  child.once('error', (error) => {
    said += error.message;
  });
  const [code] = (await Promise.race([once(child, 'exit'), once(child, 'error').then(() => [-1])])) as [
    number,
  ];
  if (code !== 0) {
    throw new Error(
      `pg_recvlogical ended with ${code}: ${said}\nIt comes with PostgreSQL's client programs; PG_RECVLOGICAL may name it.`,
    );
  }
  return (performance.now() - began) / 1_000;
}
