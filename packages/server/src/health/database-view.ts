import { type RelayReport, relayReport, type SchemaStatus, schemaStatus } from '@event-runtime/runtime';
import pg from 'pg';
import { serverError } from '../server-error.ts';

/** The database as one look found it. */
export type DatabaseView =
  | { readonly state: 'up'; readonly report: RelayReport }
  /** The schema is not one that this program can use. */
  | { readonly state: 'schema'; readonly schema: SchemaStatus }
  | { readonly state: 'down'; readonly error: unknown };

export interface DatabaseWatchOptions {
  readonly connectionString: string;
  readonly relay: string;
  readonly slot: string;
  readonly shards: number;
  /** Milliseconds that an answer is good for. Default 3,000. */
  readonly freshMs?: number;
  /** Milliseconds after which the database counts as not reachable. Default 3,000. */
  readonly patienceMs?: number;
}

/**
 * Looks at the database when it is asked, at most one look at a time and one every few seconds: any number of probes and
 * scrapes cost no more than one. Never waits longer than its patience, and never throws.
 */
export class DatabaseWatch implements AsyncDisposable {
  readonly #options: DatabaseWatchOptions;
  readonly #pool: pg.Pool;
  #looking: Promise<DatabaseView> | undefined;
  #seen: { readonly view: DatabaseView; readonly at: number } | undefined;

  constructor(options: DatabaseWatchOptions) {
    this.#options = options;
    const patience = options.patienceMs ?? 3_000;
    // One of its own: health must not wait for a connection that work has taken.
    this.#pool = new pg.Pool({
      connectionString: options.connectionString,
      application_name: 'event-runtime health',
      client_encoding: 'UTF8',
      max: 1,
      connectionTimeoutMillis: patience,
      statement_timeout: 10_000,
      query_timeout: 12_000,
    });
    this.#pool.on('error', () => undefined);
  }

  /** The last look, when it is fresh; else a new one. */
  async view(): Promise<DatabaseView> {
    const { freshMs = 3_000, patienceMs = 3_000 } = this.#options;
    if (this.#seen !== undefined && performance.now() - this.#seen.at < freshMs) return this.#seen.view;
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return await within(this.#looking, patienceMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A server that says nothing keeps a connection open; it must not keep the process.
    await within(
      this.#pool.end().then(() => undefined),
      2_000,
    );
  }

  async #look(): Promise<DatabaseView> {
    let view: DatabaseView;
    try {
      view = await this.#read();
    } catch (cause) {
      view = { state: 'down', error: isOfServer(cause) ? cause : serverError('ER1001', { cause }) };
    }
    this.#seen = { view, at: performance.now() };
    return view;
  }

  async #read(): Promise<DatabaseView> {
    const { relay, slot, shards } = this.#options;
    const client = await this.#pool.connect();
    let broken = true;
    client.on('error', ignore);
    try {
      const schema = await schemaStatus(client);
      const usable = schema.state === 'current' || schema.state === 'newer';
      const view: DatabaseView = usable
        ? { state: 'up', report: await relayReport(client, { relay, slot, shards }) }
        : { state: 'schema', schema };
      broken = false;
      return view;
    } finally {
      client.off('error', ignore);
      client.release(broken);
    }
  }
}

/** A connection that dies while nobody asks it anything would end the process; the next statement says what happened. */
function ignore(): void {}

/** An error that the server itself reported: it can be reached. */
function isOfServer(cause: unknown): boolean {
  return cause instanceof Error && 'severity' in cause;
}

/** What it resolves with, or, too late, that the database is down. */
async function within<T>(looking: Promise<T>, ms: number): Promise<T | DatabaseView> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<DatabaseView>((resolve) => {
    timer = setTimeout(() => {
      const error = serverError('ER1001', { detail: `No answer within ${ms} ms.` });
      resolve({ state: 'down', error });
    }, ms);
  });
  try {
    return await Promise.race([looking, late]);
  } finally {
    clearTimeout(timer);
  }
}
