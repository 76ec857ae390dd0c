import type { Pool, QueryResultRow } from 'pg';
import { runtimeError } from '../errors/codes.ts';
import { aborted, orAborted } from '../internal/or-aborted.ts';
import { formatLsn, type Lsn, parseLsn } from '../replication/lsn.ts';
import type { LoggedEvent } from './outbox-event.ts';
import {
  adoptedPages,
  batchPages,
  type Edge,
  type EdgeRow,
  edgeColumns,
  type PageFetch,
  toEdge,
} from './page-fetch.ts';
import { Snapshot } from './snapshot.ts';
import type { PageLimits, Shard } from './table-page.ts';
import { type Bounds, boundsOf, tickAfter } from './tick.ts';
import { countUnread, oldestUnread, type ReadState, type UnreadEvent } from './unread.ts';

/** A page, at most, unless the options say otherwise. Bytes of payloads and headers. */
export const pageLimits: PageLimits = { events: 1_000, bytes: 4 * 1_024 * 1_024 };

export interface TableReaderOptions {
  /** Connections to the primary. */
  readonly pool: Pool;
  /** Which part of the entities is read. Default: all. */
  readonly shard?: Shard;
  /** Events of a page, at most. Default 1,000. */
  readonly pageEvents?: number;
  /** Bytes of a page (payloads and headers), at most; a single larger event is a page of its own. Default 4 MiB. */
  readonly pageBytes?: number;
}

/** A snapshot, and where the log stood just after it was taken. */
export interface Moment {
  readonly snapshot: Snapshot;
  /** Every transaction that `snapshot` sees has its commit record before. */
  readonly lsn: Lsn;
  /** Whether all of that was durable when this was made. */
  readonly flushed: boolean;
  /** Whether it was the present when it was made; false: an old one, behind which there is more to be read. */
  readonly latest: boolean;
  /** Milliseconds since 1970, by the database's clock. */
  readonly at: number;
}

/** Some rows of a batch, in the order of `seq`. Never empty. */
export interface TablePage {
  readonly events: readonly LoggedEvent[];
  /** The batch goes on after it. */
  readonly lastSeq: bigint;
}

/** What two snapshots bound, and how far it was read. */
export interface BatchRange {
  readonly from: Snapshot;
  readonly to: Snapshot;
  /** Of the batch, everything up to this `seq` is left out. */
  readonly afterSeq: bigint;
  /** Rows up to this `seq` are not part of any batch: see {@link AdoptedRange}. */
  readonly floorSeq: bigint;
}

/** Rows that came with a dump: up to `floorSeq`, not visible in `snapshot` or recorded after `since`. */
export interface AdoptedRange {
  readonly snapshot: Snapshot;
  readonly since: string;
  readonly afterSeq: bigint;
  readonly floorSeq: bigint;
}

interface MomentRow extends EdgeRow {
  readonly snapshot: string;
  readonly lsn: string | null;
  readonly flushed: boolean;
  readonly at: number;
}

interface Signalled {
  readonly signal: AbortSignal;
}

/**
 * Committed events from the table. Two snapshots bound a batch: it is what the second one sees and the first one does
 * not. So a late commit is in a later batch, whatever its ids, and a transaction that stays open holds nothing up.
 *
 * Within a batch events come in the order of `seq`: the order of commits within an entity, for writers that take
 * turns on it before they emit. Reading takes no lock and keeps no transaction open: each page is a statement of its
 * own, on any connection of the pool. When one fails, nothing is lost but the page: the batch is read again after
 * the last `seq` that was handed on.
 *
 * What is visible may not be durable yet (`synchronous_commit = off`): before a batch is handed on,
 * {@link ensureFlushed} must have said so for its end.
 *
 * All calls throw what the database says; ER1208 on a standby.
 */
export class TableReader {
  readonly #pool: Pool;
  readonly #shard: Shard | undefined;
  readonly #limits: PageLimits;
  #present: { readonly snapshot: Snapshot; readonly edge: Edge } | undefined;
  #known: { readonly snapshot: Snapshot; readonly bounds: Bounds } | undefined;

  constructor(options: TableReaderOptions) {
    this.#pool = options.pool;
    this.#shard = options.shard;
    this.#limits = {
      events: options.pageEvents ?? pageLimits.events,
      bytes: options.pageBytes ?? pageLimits.bytes,
    };
  }

  /** The present. @throws ER1208; the signal's reason */
  async moment({ signal }: Signalled): Promise<Moment> {
    const row = await this.#one<MomentRow>(
      // The LSN is read when the row is computed, hence after the snapshot that the statement runs under.
      `select pg_current_snapshot()::text as snapshot, p.lsn::text,
              p.lsn is not null and pg_current_wal_flush_lsn() >= p.lsn as flushed,
              extract(epoch from clock_timestamp())::float8 * 1000 as at, ${edgeColumns()}
         from (select case when not pg_is_in_recovery() then pg_current_wal_insert_lsn() end as lsn offset 0) p`,
      signal,
    );
    if (row.lsn === null) throw runtimeError('ER1208');
    const { flushed, at } = row;
    const snapshot = Snapshot.parse(row.snapshot);
    this.#present = { snapshot, edge: toEdge(row) };
    return { snapshot, lsn: parseLsn(row.lsn), flushed, latest: true, at };
  }

  /** Whether the log is durable up to a moment's LSN. @throws ER1208; the signal's reason */
  async isFlushed(moment: Pick<Moment, 'lsn'>, { signal }: Signalled): Promise<boolean> {
    return (await this.#flushedTo(signal)) >= moment.lsn;
  }

  /**
   * Returns when the log is durable up to a moment's LSN; makes it so when it is not.
   *
   * @throws ER1209 the log ends before; the signal's reason
   */
  async ensureFlushed(moment: Pick<Moment, 'lsn'>, { signal }: Signalled): Promise<void> {
    if (await this.isFlushed(moment, { signal })) return;
    // A commit that waits for its own record to be durable; `on` might wait for a standby that does not exist.
    await this.#one(
      `select set_config('synchronous_commit', 'local', true),
              pg_logical_emit_message(true, 'event_runtime.flush', '')`,
      signal,
    );
    const flushed = await this.#flushedTo(signal);
    if (flushed >= moment.lsn) return;
    throw runtimeError('ER1209', {
      detail: `It ends at ${formatLsn(flushed)}, before ${formatLsn(moment.lsn)}.`,
    });
  }

  /**
   * Where a batch that begins after `from` may end so that it has about `maxEvents` events: at a tick, else now.
   *
   * @throws ER1208; ER1209 the database has gone back behind `from`; the signal's reason
   */
  async batchEnd(
    from: Snapshot,
    { maxEvents, signal }: { readonly maxEvents: number } & Signalled,
  ): Promise<Moment> {
    const before = this.#edgeOf(from);
    // At once: each answer that is waited for is a part of every event's delay.
    const [now, { later }] = await Promise.all([
      this.moment({ signal }),
      this.#unless(signal, this.#boundsOf(from)),
    ]);
    const after = this.#edgeOf(now.snapshot);
    const near =
      before !== undefined &&
      after !== undefined &&
      after.ceiling - before.ceiling <= maxEvents &&
      now.snapshot.covers(from);
    const found = near
      ? undefined
      : await this.#unless(signal, tickAfter(this.#pool, { snapshot: from, later, maxEvents }));
    if (found !== undefined) {
      return {
        snapshot: found.snapshot,
        lsn: found.lsn,
        flushed: false,
        latest: false,
        at: Date.parse(found.at),
      };
    }
    if (now.snapshot.covers(from)) return now;
    throw runtimeError('ER1209', {
      detail: `The snapshot ${now.snapshot.toString()} lacks what ${from.toString()} sees.`,
    });
  }

  /**
   * The batch, page by page; while one is worked on, the next one is fetched.
   *
   * @throws the signal's reason, at once: a statement under way ends by itself
   */
  read(batch: BatchRange, { signal }: Signalled): AsyncGenerator<TablePage, void, undefined> {
    const fetch = batchPages({
      pool: this.#pool,
      shard: this.#shard,
      limits: this.#limits,
      batch,
      bounds: async () => await this.#boundsOf(batch.from),
      edge: this.#edgeOf(batch.to),
    });
    return this.#pages(fetch, { after: batch.afterSeq, signal });
  }

  /** What came from another cluster and was not delivered there, page by page, as {@link read}. */
  readAdopted(range: AdoptedRange, { signal }: Signalled): AsyncGenerator<TablePage, void, undefined> {
    const fetch = adoptedPages({ pool: this.#pool, shard: this.#shard, limits: this.#limits, range });
    return this.#pages(fetch, { after: range.afterSeq, signal });
  }

  /**
   * How many committed events a sink with this checkpoint has not been given. Exact; cheap where few are unread or
   * many: about a million a second. For a sink that reads the WAL, what its position says beyond its snapshot is not
   * known here.
   *
   * @param options.before only those that were recorded before
   */
  async countUnread(
    state: ReadState,
    { signal, before }: { readonly before?: Date } & Signalled,
  ): Promise<number> {
    return await this.#unless(signal, countUnread(this.#pool, { state, shard: this.#shard, before }));
  }

  /** Of the events that {@link countUnread} counts, the one with the lowest `seq`; undefined: there is none. */
  async oldestUnread(state: ReadState, { signal }: Signalled): Promise<UnreadEvent | undefined> {
    return await this.#unless(signal, oldestUnread(this.#pool, { state, shard: this.#shard }));
  }

  async *#pages(
    fetch: PageFetch,
    { after, signal }: { readonly after: bigint } & Signalled,
  ): AsyncGenerator<TablePage, void, undefined> {
    for (let next = fetch(after); ; ) {
      const { events, more } = await this.#unless(signal, next);
      const last = events.at(-1);
      if (last === undefined) return;
      const lastSeq = last.event.seq;
      if (more) {
        next = fetch(lastSeq);
        // It fails where it is awaited; left early, it concerns nobody.
        next.catch(() => undefined);
      }
      yield { events, lastSeq };
      if (!more) return;
    }
  }

  /** Known of the present that was asked for last. */
  #edgeOf(snapshot: Snapshot): Edge | undefined {
    return this.#present?.snapshot === snapshot ? this.#present.edge : undefined;
  }

  /** Of the snapshot that was asked for last they are known: a batch is bounded, and then read. */
  async #boundsOf(snapshot: Snapshot): Promise<Bounds> {
    if (this.#known?.snapshot !== snapshot) {
      this.#known = { snapshot, bounds: await boundsOf(this.#pool, snapshot) };
    }
    return this.#known.bounds;
  }

  /** The end of the durable log. @throws ER1208 */
  async #flushedTo(signal: AbortSignal): Promise<Lsn> {
    const { lsn } = await this.#one<{ lsn: string | null }>(
      'select case when not pg_is_in_recovery() then pg_current_wal_flush_lsn() end::text as lsn',
      signal,
    );
    if (lsn === null) throw runtimeError('ER1208');
    return parseLsn(lsn);
  }

  async #one<Row extends QueryResultRow>(text: string, signal: AbortSignal): Promise<Row> {
    const { rows } = await this.#unless(signal, this.#pool.query<Row>(text));
    return rows[0] as Row;
  }

  async #unless<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
    const outcome = await orAborted(work, signal);
    if (outcome === aborted) throw signal.reason;
    return outcome;
  }
}
