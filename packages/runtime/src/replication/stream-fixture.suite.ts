import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import pg from 'pg';
import { createTestDatabase, type TestDatabase } from '../testing/test-database.ts';
import { type Lsn, parseLsn } from './lsn.ts';
import {
  openReplicationStream,
  type ReceivedCommit,
  type ReplicationStream,
  type ReplicationStreamOptions,
  type StreamMessage,
} from './replication-stream.ts';
import { createSlot, describeSlot } from './slot.ts';

/** A database with a published table `item (id, body)`, one that is not published, and a slot. */
export class StreamFixture implements AsyncDisposable {
  readonly database: TestDatabase;
  readonly slot: string;
  readonly sql: pg.Client;

  private constructor(database: TestDatabase, sql: pg.Client) {
    this.database = database;
    this.slot = `slot_${database.name}`;
    this.sql = sql;
  }

  static async create(clusterUrl: string): Promise<StreamFixture> {
    const database = await createTestDatabase(clusterUrl);
    const fixture = new StreamFixture(database, await connectTo(database.url));
    await fixture.sql.query('create table item (id int primary key, body text)');
    await fixture.sql.query('create table unpublished (id int)');
    await fixture.sql.query('create publication p for table item');
    await createSlot(fixture.sql, { slot: fixture.slot });
    return fixture;
  }

  async connect(): Promise<pg.Client> {
    return await connectTo(this.database.url);
  }

  async open(options: Partial<ReplicationStreamOptions> = {}): Promise<ReplicationStream> {
    return await openReplicationStream({
      connectionString: this.database.url,
      slot: this.slot,
      publication: 'p',
      statusIntervalMs: 50,
      ...options,
    });
  }

  async confirmedFlush(): Promise<bigint> {
    return (await describeSlot(this.sql, this.slot))?.confirmedFlushLsn ?? 0n;
  }

  async walPosition(): Promise<Lsn> {
    const { rows } = await this.sql.query<{ at: string }>('select pg_current_wal_insert_lsn()::text as at');
    return parseLsn(rows[0]?.at ?? '');
  }

  /** Returns when nobody reads the slot; the server takes a moment to notice. */
  async slotIsFree(): Promise<void> {
    await eventually(
      () => describeSlot(this.sql, this.slot),
      (state) => state?.active === false,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sql.end();
    await this.database[Symbol.asyncDispose]();
  }
}

async function connectTo(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** One committed transaction as the stream showed it. */
export interface Transaction {
  readonly xid: number;
  readonly finalLsn: Lsn;
  readonly texts: readonly (string | null | undefined)[];
  readonly commit: ReceivedCommit;
}

/** Reads whole transactions one after the other; the text of column 1 of every row. */
export class TransactionReader {
  readonly stream: ReplicationStream;
  readonly #messages: AsyncGenerator<StreamMessage>;

  constructor(stream: ReplicationStream) {
    this.stream = stream;
    this.#messages = flat(stream);
  }

  async next(): Promise<Transaction> {
    let begun: { xid: number; finalLsn: Lsn } | undefined;
    const texts: (string | null | undefined)[] = [];
    for (;;) {
      const { value, done } = await this.#messages.next();
      if (done === true) throw new Error('the stream ended');
      if (value.kind === 'begin') begun = value;
      if (value.kind === 'insert') texts.push(value.row.text(1));
      if (value.kind === 'commit') {
        if (begun === undefined) throw new Error('a commit without its begin');
        return { xid: begun.xid, finalLsn: begun.finalLsn, texts, commit: value };
      }
    }
  }

  async take(count: number): Promise<Transaction[]> {
    const taken: Transaction[] = [];
    while (taken.length < count) taken.push(await this.next());
    return taken;
  }
}

export async function* flat(stream: ReplicationStream): AsyncGenerator<StreamMessage> {
  for await (const batch of stream) yield* batch;
}

/** Asks again until the answer fits; there is no event for what the server does by itself. */
export async function eventually<T>(ask: () => Promise<T>, fits: (value: T) => boolean): Promise<T> {
  for (const deadline = performance.now() + 60_000; ; ) {
    const value = await ask();
    if (fits(value)) return value;
    if (performance.now() > deadline) throw new Error(`never fitted; last seen: ${inspect(value)}`);
    await sleep(20);
  }
}
