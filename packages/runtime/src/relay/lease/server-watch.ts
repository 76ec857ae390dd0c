import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import { readServerLog, type ServerLog } from '../../log/timeline.ts';
import { onLeaseConnection } from './lease-connection.ts';

/** How long the server has to say which one it is. Milliseconds. */
const answerMs = 1_000;

export interface ServerWatchOptions {
  /** The connections of the leases: they give up a server that says nothing. */
  readonly pool: Pool;
  /** Another server answers than the last time: a standby was promoted, or a backup restored. */
  readonly onChange: () => void;
  /** Milliseconds between two looks. Default 1,000. */
  readonly everyMs?: number | undefined;
}

/**
 * Asks which server answers, at once and again and again: to be begun before there is work that it might concern. A primary that is gone without a word (its host, the network) leaves
 * connections on which nothing comes, until a long time is out; that another one answers in its place is known sooner.
 * Whether there is an answer at all is what the leases look after.
 *
 * @returns what ends it
 */
export function watchServer(options: ServerWatchOptions): AsyncDisposable {
  const over = new AbortController();
  const watching = watch(options, over.signal);
  return {
    async [Symbol.asyncDispose]() {
      over.abort();
      await watching;
    },
  };
}

async function watch(options: ServerWatchOptions, signal: AbortSignal): Promise<void> {
  const { pool, onChange, everyMs = 1_000 } = options;
  let known: ServerLog | undefined;
  while (!signal.aborted) {
    const limits = { timeoutMs: answerMs, signal };
    const now = await onLeaseConnection(pool, readServerLog, limits).catch(() => undefined);
    if (now !== undefined && known !== undefined && !same(now, known)) onChange();
    known = now ?? known;
    await sleep(everyMs, undefined, { signal }).catch(() => undefined);
  }
}

function same(a: ServerLog, b: ServerLog): boolean {
  return a.timeline === b.timeline && a.systemIdentifier === b.systemIdentifier;
}
