import type { ClientBase } from 'pg';

/**
 * Lets the server end a session that asks nothing for a while, and asks something in time. For locks that a session
 * keeps between its statements, and to be called before they are taken: a process that is stopped, or a machine that is
 * suspended, must not keep them for ever. A server that waits for its client to read does not count as idle: over TCP,
 * on Linux, it gives up after the same time.
 *
 * @param silentMs milliseconds without a sign of life after which the server ends the session
 * @returns what puts the session's own `idle_session_timeout` and `tcp_user_timeout` back
 */
export async function keptAlive(client: ClientBase, silentMs: number): Promise<AsyncDisposable> {
  const { rows } = await client.query<{ idle: string; unread: string }>(
    "select current_setting('idle_session_timeout') as idle, current_setting('tcp_user_timeout') as unread",
  );
  await client.query(`set idle_session_timeout = ${silentMs}; set tcp_user_timeout = ${silentMs}`);
  let asked = false;
  const answered = (): void => {
    asked = false;
  };
  const timer = setInterval(() => {
    // One at a time: behind a long statement, or on a connection that hangs, they would pile up.
    if (asked) return;
    asked = true;
    client.query('select').then(answered, answered);
  }, silentMs / 4);
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      // Fails only on a broken connection.
      const { idle = '0', unread = '0' } = rows[0] ?? {};
      await client
        .query(
          "select set_config('idle_session_timeout', $1, false), set_config('tcp_user_timeout', $2, false)",
          [idle, unread],
        )
        .catch(() => undefined);
    },
  };
}
