import type { ClientBase } from 'pg';

/**
 * Lets the server end a session that asks nothing for a while, and asks something in time. For locks that a session
 * keeps between its statements: a process that is stopped, or a machine that is suspended, must not keep them for ever.
 *
 * @param silentMs milliseconds without a sign of life after which the server ends the session
 */
export async function keptAlive(client: ClientBase, silentMs: number): Promise<Disposable> {
  await client.query(`set idle_session_timeout = ${silentMs}`);
  const timer = setInterval(() => void client.query('select').catch(() => undefined), silentMs / 4);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
