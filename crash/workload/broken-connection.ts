/** The server went away, or is not there yet. What it says itself about a statement is something else. */
export function isBrokenConnection(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false;
  // A producer's coded error carries what the driver said.
  if (cause.cause instanceof Error && isBrokenConnection(cause.cause)) return true;
  const { code } = cause as { readonly code?: unknown };
  if ('severity' in cause) return typeof code === 'string' && /^(57P0|08)/.test(code);
  return (
    /terminated|not queryable|closed|timeout|ECONN|EPIPE/i.test(cause.message) ||
    /^E(CONN|PIPE)/.test(String(code))
  );
}
