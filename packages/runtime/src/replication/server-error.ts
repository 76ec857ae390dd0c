import { type EventRuntimeError, isEventRuntimeError } from '@event-runtime/outbox';
import { runtimeError } from '../errors/codes.ts';
import { messageOf, unreachable } from '../internal/unreachable.ts';
import type { ByteReader } from './pgoutput/reader.ts';

/** What the server said in an ErrorResponse. */
export class ServerError extends Error {
  override readonly name = 'ServerError';
  /** SQLSTATE. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Reads an ErrorResponse. Source: PostgreSQL manual, "Error and Notice Message Fields". @throws ER3001 */
export function readErrorResponse(payload: ByteReader): ServerError {
  let code = '';
  let message = '';
  for (let field = payload.uint8(); field !== 0; field = payload.uint8()) {
    const value = payload.cstring();
    if (field === 0x43) code = value; // C
    if (field === 0x4d) message = value; // M
  }
  return new ServerError(code, message);
}

interface Context {
  readonly slot: string;
  readonly publication: string;
}

/** The coded form of what went wrong while a replication connection was being opened. */
export function connectError(cause: unknown): EventRuntimeError {
  if (isEventRuntimeError(cause)) return cause;
  // Also 42501, from another routine: no CONNECT privilege on the database. Messages may be translated.
  if (fieldOf(cause, 'code') === '42501' && fieldOf(cause, 'routine') !== 'CheckMyDatabase') {
    return runtimeError('ER1003', { cause });
  }
  if (isFull(cause)) return runtimeError('ER1301', { detail: `It says: ${messageOf(cause)}.`, cause });
  return unreachable(cause);
}

/** No room: 53400 is said of slots, 53300 of walsenders and of connections; names of settings are not translated. */
function isFull(cause: unknown): boolean {
  const code = fieldOf(cause, 'code');
  return code === '53400' || (code === '53300' && messageOf(cause).includes('max_wal_senders'));
}

/** The coded form of what the server answered to a slot command, or of what ended the stream. */
export function streamError(cause: unknown, context: Context): EventRuntimeError {
  if (isEventRuntimeError(cause)) return cause;
  const detail = `Slot ${context.slot}: ${messageOf(cause)}.`;
  switch (fieldOf(cause, 'code')) {
    case '55006': // object_in_use: "replication slot is active for PID"
      return runtimeError('ER1201', { detail, cause });
    case '55000': // object_not_in_prerequisite_state: "can no longer get changes from replication slot"
    case '58P01': // undefined_file: "requested WAL segment has already been removed"
      return runtimeError('ER1202', { detail, cause });
    case '42704': // undefined_object: the slot, or (from the change callback) the publication
      return messageOf(cause).includes(`"${context.publication}"`)
        ? runtimeError('ER1204', { detail, cause })
        : runtimeError('ER1202', { detail, cause });
    case '42501':
      return runtimeError('ER1003', { detail, cause });
    default:
      return runtimeError('ER3004', { detail, cause });
  }
}

function fieldOf(cause: unknown, field: string): unknown {
  return typeof cause === 'object' && cause !== null ? Reflect.get(cause, field) : undefined;
}
