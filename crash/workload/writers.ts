import { setTimeout as sleep } from 'node:timers/promises';
import { type SeededRandom, seededRandom } from '@event-runtime/runtime/testing';
import pg from 'pg';
import type { Traffic } from '../verdict/traffic.ts';
import { isBrokenConnection } from './broken-connection.ts';
import { Pace } from './pace.ts';
import { runTransaction } from './run-transaction.ts';
import { planTransaction, type TransactionPlan } from './transaction-plan.ts';

export interface WritersOptions {
  readonly databaseUrl: string;
  readonly traffic: Traffic;
  readonly seed: number;
  /** Connections that write at the same time. */
  readonly connections: number;
  /** Events per second, over all connections. */
  readonly rate: number;
  /** Writing pauses while so many events are on their way. */
  readonly mostOutstanding: number;
}

/** What became of the transactions, as far as the writers were told. */
export interface WriterCounts {
  readonly committed: number;
  readonly rolledBack: number;
  /** The connection broke before the end was known: committed or not. */
  readonly unknown: number;
}

/** The load: transactions on few entities from several connections, until it is told to stop. */
export class Writers {
  readonly #options: WritersOptions;
  readonly #pace: Pace;
  /** Until when no COMMIT waits for the disk; `performance.now()`. */
  #relaxedUntil = 0;
  readonly #counts = { committed: 0, rolledBack: 0, unknown: 0 };

  constructor(options: WritersOptions) {
    this.#options = options;
    this.#pace = new Pace(options.rate);
  }

  get counts(): WriterCounts {
    return { ...this.#counts };
  }

  /** For so many milliseconds no COMMIT waits for the disk: a crash of the server may take all of them back. */
  relax(ms: number): void {
    this.#relaxedUntil = performance.now() + ms;
  }

  /** Writes until `stopping`; transactions under way are finished. Rejects when one fails for a reason of its own. */
  async run(stopping: AbortSignal): Promise<void> {
    const failed = new AbortController();
    const signal = AbortSignal.any([stopping, failed.signal]);
    const ends = Array.from({ length: this.#options.connections }, async (_, index) => {
      try {
        await this.#write(seededRandom(this.#options.seed * 1_000 + index), signal);
      } catch (cause) {
        failed.abort(cause);
        throw cause;
      }
    });
    for (const end of await Promise.allSettled(ends)) if (end.status === 'rejected') throw end.reason;
  }

  async #write(random: SeededRandom, signal: AbortSignal): Promise<void> {
    let client: pg.Client | undefined;
    try {
      while (!signal.aborted) {
        const planned = planTransaction(random);
        const plan = performance.now() < this.#relaxedUntil ? { ...planned, durable: false } : planned;
        await this.#turn(plan, signal);
        if (signal.aborted) return;
        client ??= await this.#connect();
        if (client === undefined) await sleep(100);
        else if (!(await this.#transaction(client, plan))) {
          await client.end().catch(() => undefined);
          client = undefined;
        }
      }
    } finally {
      await client?.end().catch(() => undefined);
    }
  }

  async #turn(plan: TransactionPlan, signal: AbortSignal): Promise<void> {
    const { traffic, mostOutstanding } = this.#options;
    while (!signal.aborted && traffic.outstanding >= mostOutstanding) await sleep(20);
    await this.#pace.turn(plan.events.length, { burst: plan.burst, signal });
  }

  /** @returns false when the connection broke */
  async #transaction(client: pg.Client, plan: TransactionPlan): Promise<boolean> {
    try {
      const eventIds = await runTransaction(client, plan);
      if (plan.ending === 'commit') this.#counts.committed += 1;
      else this.#counts.rolledBack += 1;
      // What did not wait for the disk may be taken back by a crash: nobody may count on it.
      if (plan.durable) {
        this.#options.traffic.acknowledge(eventIds, performance.timeOrigin + performance.now());
      }
      return true;
    } catch (cause) {
      if (!isBrokenConnection(cause)) throw cause;
      this.#counts.unknown += 1;
      return false;
    }
  }

  async #connect(): Promise<pg.Client | undefined> {
    const client = new pg.Client({
      connectionString: this.#options.databaseUrl,
      application_name: 'crash writer',
      connectionTimeoutMillis: 5_000,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return client;
    } catch (cause) {
      if (!isBrokenConnection(cause)) throw cause;
      await client.end().catch(() => undefined);
      return undefined;
    }
  }
}
