import type { Pool, PoolClient } from 'pg';
import { runtimeError } from '../../errors/codes.ts';
import { aborted, orAborted } from '../../internal/or-aborted.ts';

/** What every statement on leases is given. */
export interface LeaseStatementOptions {
  /** Milliseconds for all of it: waiting for a connection, for a lock, for the answer. */
  readonly timeoutMs: number;
  /** Gives up waiting; the statement may take effect all the same. */
  readonly signal?: AbortSignal;
}

/**
 * Runs work on a connection of the pool, and comes back in time whatever the network does: a connection that says
 * nothing (the other end is gone and nobody told us) is thrown away, so that the next attempt gets a new one.
 *
 * @throws ER1001 no answer in time; ER1208 the connection leads to a standby; the signal's reason; else what the work
 *   throws
 */
export async function onLeaseConnection<T>(
  pool: Pool,
  work: (client: PoolClient) => Promise<T>,
  options: LeaseStatementOptions,
): Promise<T> {
  options.signal?.throwIfAborted();
  const giveUp = new AbortController();
  const onAbort = (): void => giveUp.abort(options.signal?.reason);
  options.signal?.addEventListener('abort', onAbort, { once: true });
  const late = setTimeout(() => {
    giveUp.abort(runtimeError('ER1001', { detail: `No answer within ${options.timeoutMs} ms.` }));
  }, options.timeoutMs);
  try {
    const client = await connected(pool, giveUp.signal);
    return await onClient(client, { work, signal: giveUp.signal });
  } catch (cause) {
    // read_only_sql_transaction
    if (cause instanceof Error && Reflect.get(cause, 'code') === '25006')
      throw runtimeError('ER1208', { cause });
    throw cause;
  } finally {
    clearTimeout(late);
    options.signal?.removeEventListener('abort', onAbort);
  }
}

async function connected(pool: Pool, signal: AbortSignal): Promise<PoolClient> {
  const connecting = pool.connect();
  const client = await orAborted(connecting, signal);
  if (client !== aborted) return client;
  // A connection that comes too late goes back unused: a statement that nobody waits for must not be sent.
  void connecting.then(
    (unused) => unused.release(),
    () => undefined,
  );
  throw signal.reason as Error;
}

/** The statement that was under way says what happened. */
function ignore(): void {}

async function onClient<T>(
  client: PoolClient,
  task: { readonly work: (client: PoolClient) => Promise<T>; readonly signal: AbortSignal },
): Promise<T> {
  let broken = true;
  // Without a listener, a connection that dies would end the process.
  client.on('error', ignore);
  try {
    const outcome = await orAborted(task.work(client), task.signal);
    if (outcome === aborted) throw task.signal.reason as Error;
    broken = false;
    return outcome;
  } finally {
    // Destroyed while a query is under way: the socket is closed at once, without a farewell that nobody answers.
    client.release(broken);
    if (!broken) client.off('error', ignore);
  }
}
