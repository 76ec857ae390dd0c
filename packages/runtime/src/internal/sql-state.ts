/** The SQLSTATE that the server gave an error (PostgreSQL's appendix "Error Codes"); undefined: it has none. */
export function sqlState(cause: unknown): unknown {
  return typeof cause === 'object' && cause !== null ? Reflect.get(cause, 'code') : undefined;
}
