import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { runPlanned } from './sample-emit.ts';
import type { PlannedTransaction } from './sample-plan.ts';

export interface SampleApplicationOptions {
  readonly databaseUrl: string;
  readonly plan: Iterable<PlannedTransaction>;
  /** Transactions that run at the same time, each on a connection of its own. Default 6. */
  readonly connections?: number;
  /** Upper bound of committed events per second. Default 0: none. */
  readonly eventsPerSecond?: number;
  /** How many events may be committed for now; asked again before each transaction. Default: no limit. */
  readonly limit?: () => number;
}

/** The business: runs the planned transactions over several connections at once and counts what became of them. */
export class SampleApplication {
  readonly #options: SampleApplicationOptions;
  readonly #commitAskedAt = new Map<string, number>();
  #committed = 0;
  #committedEvents = 0;
  #rolledBack = 0;
  #begun = 0;

  constructor(options: SampleApplicationOptions) {
    this.#options = options;
  }

  /** Transactions that were committed. */
  get committed(): number {
    return this.#committed;
  }

  /** Events of these transactions. */
  get committedEvents(): number {
    return this.#committedEvents;
  }

  /** Rollbacks: of whole transactions, and to a savepoint. */
  get rolledBack(): number {
    return this.#rolledBack;
  }

  /** `performance.now()` when COMMIT was sent, by event id. */
  get commitAskedAt(): ReadonlyMap<string, number> {
    return this.#commitAskedAt;
  }

  /**
   * Runs the whole plan.
   *
   * @returns the write-ahead log's flushed position after the last commit, as PostgreSQL's text
   */
  async run(options: { readonly signal: AbortSignal }): Promise<string> {
    const failure = new AbortController();
    const signal = AbortSignal.any([options.signal, failure.signal]);
    const plan = this.#options.plan[Symbol.iterator]();
    const startedAt = performance.now();
    const results = await Promise.allSettled(
      Array.from({ length: this.#options.connections ?? 6 }, async () => {
        try {
          await this.#work(plan, { signal, startedAt });
        } catch (cause) {
          failure.abort(cause);
          throw cause;
        }
      }),
    );
    options.signal.throwIfAborted();
    if (failure.signal.aborted) throw failure.signal.reason;
    for (const result of results) if (result.status === 'rejected') throw result.reason;
    return await flushedPosition(this.#options.databaseUrl);
  }

  async #work(
    plan: Iterator<PlannedTransaction>,
    run: { readonly signal: AbortSignal; readonly startedAt: number },
  ): Promise<void> {
    const client = new pg.Client({ connectionString: this.#options.databaseUrl, application_name: 'demo' });
    client.on('error', () => undefined);
    await client.connect();
    try {
      for (;;) {
        run.signal.throwIfAborted();
        const next = plan.next();
        if (next.done === true) return;
        await this.#pace(next.value, run);
        await runPlanned(client, next.value, (events) => {
          const now = performance.now();
          for (const event of events) this.#commitAskedAt.set(event.eventId, now);
        });
        this.#count(next.value);
      }
    } finally {
      await client.end();
    }
  }

  /** Waits until the transaction's turn has come by the limit and the rate. */
  async #pace(
    planned: PlannedTransaction,
    run: { readonly signal: AbortSignal; readonly startedAt: number },
  ): Promise<void> {
    const rate = this.#options.eventsPerSecond ?? 0;
    const before = this.#begun;
    this.#begun += planned.outcome === 'commit' ? planned.events.length : 0;
    const limit = this.#options.limit ?? (() => Number.POSITIVE_INFINITY);
    while (before > limit()) await sleep(5, undefined, { signal: run.signal });
    if (rate === 0) return;
    const early = run.startedAt + (before / rate) * 1_000 - performance.now();
    if (early > 1) await sleep(early, undefined, { signal: run.signal });
  }

  #count(planned: PlannedTransaction): void {
    if (planned.undone !== undefined) this.#rolledBack += 1;
    if (planned.outcome === 'rollback') {
      this.#rolledBack += 1;
      return;
    }
    this.#committed += 1;
    this.#committedEvents += planned.events.length;
  }
}

/** A commit returns when it is flushed, so every commit lies before this. */
async function flushedPosition(databaseUrl: string): Promise<string> {
  const client = new pg.Client({ connectionString: databaseUrl });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_flush_lsn()::text as lsn');
    return rows[0]?.lsn ?? '0/0';
  } finally {
    await client.end();
  }
}
