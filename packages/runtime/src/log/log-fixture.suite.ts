import pg from 'pg';
import { createMigratedDatabase, fewDays, type MigratedDatabase } from '../testing/migrated-database.ts';
import type { LoggedEvent } from './outbox-event.ts';
import type { Snapshot } from './snapshot.ts';
import { type TablePage, TableReader, type TableReaderOptions } from './table-reader.ts';
import { type Tick, tick } from './tick.ts';

/** Never aborted. */
export const { signal }: AbortController = new AbortController();

/** A part of what EXPLAIN (ANALYZE, FORMAT JSON) gives. */
interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly Plans?: readonly PlanNode[];
}

/** What a statement did. */
export interface Explained {
  /** Names of the nodes. */
  readonly nodes: ReadonlySet<string>;
  readonly tables: ReadonlySet<string>;
  readonly indexes: ReadonlySet<string>;
  /** Rows of tables that were looked at, whether they fitted or not. */
  readonly visited: number;
  /** Of the rows that were sorted the most at once. */
  readonly sorted: number;
}

/** A migrated database, a pool that can tell what it was asked, and a reader. */
export class LogFixture implements AsyncDisposable {
  readonly database: MigratedDatabase;
  readonly sql: pg.Client;
  readonly pool: pg.Pool;
  /** Messages that were sent through the pool. */
  readonly statements: string[] = [];
  readonly #open: pg.Client[] = [];

  private constructor(database: MigratedDatabase, sql: pg.Client) {
    this.database = database;
    this.sql = sql;
    this.pool = new pg.Pool({ connectionString: database.url, max: 3 });
    this.pool.on('error', () => undefined);
    const query = this.pool.query.bind(this.pool) as (...args: unknown[]) => unknown;
    this.pool.query = ((...args: unknown[]) => {
      const [first] = args;
      this.statements.push(typeof first === 'string' ? first : (first as { text: string }).text);
      return query(...args);
    }) as typeof this.pool.query;
  }

  /** @param from the template of the database */
  static async create(clusterUrl: string, from: string = fewDays): Promise<LogFixture> {
    const database = await createMigratedDatabase(clusterUrl, from);
    return new LogFixture(database, await database.connect());
  }

  /** As if nothing had ever been emitted; ids and `seq` go on. */
  async empty(): Promise<void> {
    for (const client of this.#open.splice(0)) await client.query('rollback');
    await this.sql.query('delete from event_runtime.outbox');
    await this.sql.query('delete from event_runtime.tick');
  }

  async connect(): Promise<pg.Client> {
    return await this.database.connect();
  }

  reader(options: Partial<TableReaderOptions> = {}): TableReader {
    return new TableReader({ pool: this.pool, ...options });
  }

  async tick(): Promise<Tick> {
    return await tick(this.pool);
  }

  async now(): Promise<Snapshot> {
    return (await this.reader().moment({ signal })).snapshot;
  }

  /** Emits one event, in the client's transaction where one is open. Its type is its name. */
  async emit(
    name: string,
    options: { readonly client?: pg.Client; readonly key?: string } = {},
  ): Promise<void> {
    const { client = this.sql, key = 'entity' } = options;
    await client.query(`select 1 from event_runtime.emit($1, '{"a":  1}', 'acme', $2)`, [name, key]);
  }

  /** Emits so many events in one transaction, as superusers and bulk loads do. */
  async bulk(
    count: number,
    options: { readonly client?: pg.Client; readonly name?: string } = {},
  ): Promise<void> {
    const { client = this.sql, name = 'bulk' } = options;
    await client.query(
      `insert into event_runtime.outbox (event_id, tenant_id, event_type, entity_key, payload)
       select gen_random_uuid(), 'acme', $2, 'bulk', '1' from generate_series(1, $1)`,
      [count, name],
    );
  }

  /** A transaction that is open, and has its id. */
  async open(name: string): Promise<pg.Client> {
    const client = await this.connect();
    this.#open.push(client);
    await client.query('begin');
    await this.emit(name, { client });
    return client;
  }

  async pages(
    batch: {
      readonly from: Snapshot;
      readonly to: Snapshot;
      readonly afterSeq?: bigint;
      readonly floorSeq?: bigint;
    },
    reader: TableReader = this.reader(),
  ): Promise<TablePage[]> {
    return await collect(reader.read({ afterSeq: 0n, floorSeq: 0n, ...batch }, { signal }));
  }

  /** So many pages, and no more are asked for than the next one. */
  async firstPages(
    batch: { readonly from: Snapshot; readonly to: Snapshot },
    count: number,
  ): Promise<TablePage[]> {
    const pages: TablePage[] = [];
    for await (const page of this.reader().read({ afterSeq: 0n, floorSeq: 0n, ...batch }, { signal })) {
      pages.push(page);
      if (pages.length === count) break;
    }
    return pages;
  }

  async read(from: Snapshot, to: Snapshot): Promise<LoggedEvent[]> {
    return (await this.pages({ from, to })).flatMap((page) => page.events);
  }

  /** Types of the events of a batch, in their order. */
  async names(from: Snapshot, to: Snapshot): Promise<string[]> {
    return (await this.read(from, to)).map(({ event }) => event.eventType);
  }

  /** The last message with this in it. */
  lastSent(part: string): string | undefined {
    return this.statements.findLast((text: string) => text.includes(part));
  }

  /** Runs the last statement that read the outbox again, and says what it does. */
  async explain(last: string | undefined = this.lastSent('found')): Promise<Explained> {
    if (last === undefined) throw new Error('nothing was read');
    const results = await this.sql.query(
      last.replace('\n', '\nexplain (analyze, costs off, timing off, format json) '),
    );
    return explained((Array.isArray(results) ? results.at(-1) : results) as pg.QueryResult);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.end();
    await this.database[Symbol.asyncDispose]();
  }
}

/** What a statement did, by EXPLAIN (ANALYZE, FORMAT JSON) of it. */
export function explained(result: pg.QueryResult): Explained {
  const nodes = new Set<string>();
  const tables = new Set<string>();
  const indexes = new Set<string>();
  let [visited, sorted] = [0, 0];
  const walk = (node: PlanNode): void => {
    const all = node['Actual Rows'] * node['Actual Loops'];
    nodes.add(node['Node Type']);
    if (node['Relation Name'] !== undefined) {
      tables.add(node['Relation Name']);
      const loops = node['Actual Loops'];
      const removed =
        ((node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0)) * loops;
      visited += all + removed;
    }
    if (node['Index Name'] !== undefined) indexes.add(node['Index Name']);
    if (node['Node Type'] === 'Sort')
      sorted = Math.max(sorted, ...(node.Plans ?? []).map((each) => each['Actual Rows']));
    for (const child of node.Plans ?? []) walk(child);
  };
  walk((result.rows[0] as { 'QUERY PLAN': [{ Plan: PlanNode }] })['QUERY PLAN'][0].Plan);
  return { nodes, tables, indexes, visited, sorted };
}

/** All that comes. */
export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const each of source) all.push(each);
  return all;
}
