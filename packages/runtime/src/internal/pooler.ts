import { type EventRuntimeError, isEventRuntimeError } from '@event-runtime/outbox';
import type { ClientBase } from 'pg';
import { runtimeError } from '../errors/codes.ts';

/**
 * The process id that a server gives at connect is its backend's; a pooler invents one.
 *
 * @throws ER1004
 */
export async function refusePooler(client: ClientBase): Promise<void> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  const announced = (client as { processID?: number | null }).processID;
  if (announced !== rows[0]?.pid) throw runtimeError('ER1004');
}

/**
 * Whether a pooler turned the connection away for what only PostgreSQL itself understands. PgBouncer names what it does
 * not know: `replication` (before 1.23), `options` (before 1.20), a setting in `options` (after).
 */
export function isPoolersRefusal(cause: unknown): boolean {
  return cause instanceof Error && cause.message.startsWith('unsupported startup parameter');
}

/** The coded form of {@link isPoolersRefusal}. */
export function poolerError(cause: unknown): EventRuntimeError {
  if (isEventRuntimeError(cause)) return cause;
  const says = cause instanceof Error ? cause.message : String(cause);
  return runtimeError('ER1004', { detail: `It says: ${says}.`, cause });
}
