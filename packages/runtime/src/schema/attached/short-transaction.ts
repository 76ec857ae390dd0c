import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientBase } from 'pg';
import { runtimeError } from '../../errors/codes.ts';
import { sqlState } from '../../internal/sql-state.ts';

export interface LockPatience {
  /** How long one lock is waited for, in milliseconds. Default 500. */
  readonly lockTimeoutMs?: number | undefined;
  /**
   * How long one statement may take, in milliseconds: it may wait for a lock on each partition, one after the other, and
   * others wait behind those that it has. Default twice `lockTimeoutMs`.
   */
  readonly statementTimeoutMs?: number | undefined;
  /** How often it is tried before ER1407, a second apart. Default 20. */
  readonly attempts?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ShortTransaction extends LockPatience {
  /** What is locked, for the error: `public.outbox_events`. */
  readonly locked: string;
  /** Runs in the transaction; in each attempt once. */
  readonly work: () => Promise<void>;
}

/**
 * A transaction that takes locks which others wait behind: all of it, or nothing. Where a lock is not had soon, everything
 * is let go, and it is tried again.
 *
 * @param client a session outside of a transaction
 * @throws ER1302 a right is missing; ER1407 the locks were not to be had; retryable
 */
export async function inShortTransaction(client: ClientBase, options: ShortTransaction): Promise<void> {
  const { locked, work, lockTimeoutMs = 500, attempts = 20, signal } = options;
  const { statementTimeoutMs = lockTimeoutMs * 2 } = options;
  for (let attempt = 1; ; attempt += 1) {
    signal?.throwIfAborted();
    try {
      await client.query('begin');
      await client.query(
        "select set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true)",
        [`${lockTimeoutMs}ms`, `${statementTimeoutMs}ms`],
      );
      await work();
      await client.query('commit');
      return;
    } catch (cause) {
      await client.query('rollback').catch(() => undefined);
      const state = String(sqlState(cause));
      if (state === '42501') throw runtimeError('ER1302', { detail: `Seen: ${locked}.`, cause });
      // lock_not_available, deadlock_detected, query_canceled
      if (!['55P03', '40P01', '57014'].includes(state)) throw cause;
      if (attempt >= attempts) throw runtimeError('ER1407', { detail: `Seen: ${locked}.`, cause });
    }
    await sleep(1_000, undefined, signal === undefined ? {} : { signal });
  }
}
