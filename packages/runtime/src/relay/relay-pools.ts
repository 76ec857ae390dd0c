import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { CuttablePool } from '../internal/cuttable-pool.ts';

/** How long connections may take to end. Milliseconds. */
const farewellMs = 2_000;

export interface RelayPoolsOptions {
  readonly connectionString: string;
  readonly sinks: readonly unknown[];
}

/** The relay's connections, apart from everybody else's. */
export class RelayPools implements AsyncDisposable {
  /** Reads the table, writes checkpoints and ticks. */
  readonly work: CuttablePool;
  /** For leases, and to see which server answers: who waits for a connection here loses them. */
  readonly leases: pg.Pool;

  constructor({ connectionString, sinks }: RelayPoolsOptions) {
    // What is written must be flushed, and must not wait for a standby that may not be there.
    const options = '-c synchronous_commit=local';
    const common = { connectionString, client_encoding: 'UTF8', options };
    this.work = new CuttablePool({
      ...common,
      max: 4 + sinks.length,
      application_name: 'event-runtime relay',
      connectionTimeoutMillis: 10_000,
      statement_timeout: 60_000,
      // A server that has gone without a word is an error like one that said so.
      query_timeout: 75_000,
    });
    this.leases = new pg.Pool({
      ...common,
      max: 3,
      application_name: 'event-runtime lease',
      connectionTimeoutMillis: 1_000,
    });
    // An idle connection that breaks is replaced; the statement that needs one says what is wrong.
    for (const pool of [this.work, this.leases]) {
      pool.on('error', () => undefined);
      // So is one that breaks while it is lent out: without a listener of its own it would end the process.
      pool.on('connect', (client) => client.on('error', () => undefined));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const late = new AbortController();
    const patience = sleep(farewellMs, undefined, { signal: late.signal }).catch(() => undefined);
    await Promise.race([Promise.all([this.work.end(), this.leases.end()]), patience]);
    late.abort();
  }
}
