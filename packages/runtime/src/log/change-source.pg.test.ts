import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, inject, test } from 'vitest';
import { parseLsn } from '../replication/lsn.ts';
import { createSlot, describeSlot } from '../replication/slot.ts';
import { eventually } from '../replication/stream-fixture.suite.ts';
import {
  type ChangeSource,
  type ChangeSourceHost,
  describeChangeSource,
  hugeTransaction,
} from './change-source.conformance.suite.ts';
import { LogFixture, signal } from './log-fixture.suite.ts';
import { comparePositions, type LoggedEvent, type Position } from './outbox-event.ts';
import type { BatchRange, TableReader } from './table-reader.ts';
import { type ReadTransaction, type WalBatch, WalReader } from './wal-reader.ts';

/** Events of one transaction that are held until it is whole; of a larger one parts are handed on. */
const wholeEvents = 1_000;

/** The WAL reader as it is. */
class WalSource implements ChangeSource {
  readonly reader: WalReader;
  readonly #log: LogFixture;
  readonly #slot: string;
  readonly #batches: AsyncIterator<WalBatch>;
  readonly #unsettled: ReadTransaction[] = [];
  #last: Position | undefined;

  constructor(reader: WalReader, { log, slot }: { readonly log: LogFixture; readonly slot: string }) {
    this.reader = reader;
    this.#batches = reader[Symbol.asyncIterator]();
    this.#log = log;
    this.#slot = slot;
  }

  /** Whole transactions, for one that is cut cannot be settled; but not one whose events should not be held at once. */
  async next(): Promise<readonly LoggedEvent[]> {
    const events: LoggedEvent[] = [];
    for (;;) {
      const { value } = (await this.#batches.next()) as IteratorYieldResult<WalBatch>;
      this.#unsettled.push(...value.transactions);
      for (const { endLsn } of value.transactions) {
        if (this.reader.readTo < endLsn) throw new Error('not read that far');
      }
      for (const logged of value.events) {
        const position = this.#after(logged);
        events.push(logged);
        this.#last = position;
      }
      const open = this.#last !== undefined && this.reader.readTo <= this.#last.lsn;
      if (!open || (this.#last?.ordinal ?? 0) >= wholeEvents) return events;
    }
  }

  /** Whatever the scenario, positions grow. */
  #after({ position }: LoggedEvent): Position {
    if (position === null) throw new Error('an event of the WAL without a position');
    if (this.#last !== undefined && comparePositions(position, this.#last) <= 0)
      throw new Error('out of order');
    return position;
  }

  async settle(): Promise<void> {
    let last = 0n;
    for (const { ticket, endLsn } of this.#unsettled.splice(0)) {
      this.reader.settle(ticket);
      last = endLsn;
    }
    await eventually(
      () => describeSlot(this.#log.sql, this.#slot),
      (state) => (state?.confirmedFlushLsn ?? 0n) >= last,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.reader[Symbol.asyncDispose]();
  }
}

interface WalHost extends ChangeSourceHost {
  open(): Promise<WalSource>;
}

async function walHost(log: LogFixture): Promise<WalHost> {
  const slot = `slot_${log.database.name}`;
  await createSlot(log.sql, { slot });
  return {
    async open() {
      await eventually(
        () => describeSlot(log.sql, slot),
        (state) => state?.active === false,
      );
      const reader = await WalReader.open({
        connectionString: log.database.url,
        slot,
        publication: 'event_runtime',
        statusIntervalMs: 20,
      });
      return new WalSource(reader, { log, slot });
    },
    async [Symbol.asyncDispose]() {},
  };
}

/** The table reader in the shortest loop that is right. */
class TableSource implements ChangeSource {
  readonly #reader: TableReader;
  readonly #stored: { range: BatchRange | undefined };
  readonly #floor = { afterSeq: 0n, floorSeq: 0n };
  #range: BatchRange;
  #pages: AsyncGenerator<{ events: readonly LoggedEvent[]; lastSeq: bigint }> | undefined;

  constructor(reader: TableReader, stored: { range: BatchRange }) {
    this.#reader = reader;
    this.#stored = stored;
    this.#range = stored.range;
    if (this.#range.from !== this.#range.to) this.#pages = reader.read(this.#range, { signal });
  }

  async next(): Promise<readonly LoggedEvent[]> {
    if (this.#pages === undefined) {
      const from = this.#range.to;
      const end = await this.#reader.batchEnd(from, { maxEvents: 1_000, signal });
      await this.#reader.ensureFlushed(end, { signal });
      this.#range = { from, to: end.snapshot, ...this.#floor };
      this.#pages = this.#reader.read(this.#range, { signal });
    }
    const page = await this.#pages.next();
    if (page.done !== true) {
      this.#range = { ...this.#range, afterSeq: page.value.lastSeq };
      return page.value.events;
    }
    this.#pages = undefined;
    this.#range = { from: this.#range.to, to: this.#range.to, ...this.#floor };
    await sleep(1);
    return [];
  }

  async settle(): Promise<void> {
    this.#stored.range = this.#range;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pages?.return(undefined);
  }
}

describeChangeSource('WAL', walHost);

describeChangeSource('table', async (log) => {
  const now = await log.now();
  const stored = { range: { from: now, to: now, afterSeq: 0n, floorSeq: 0n } };
  // Small, so that every scenario has several; but not twenty thousand of them.
  const pageEvents = Math.max(50, Math.ceil(hugeTransaction / 1_000));
  return {
    open: async () => new TableSource(log.reader({ pageEvents }), stored),
    async [Symbol.asyncDispose]() {},
  };
});

describe.each(['15', '18'] as const)('what only the WAL can do, PostgreSQL %s', (major) => {
  test('a partition that was dropped before its events were read', async () => {
    await using log = await LogFixture.create(inject('postgres')[major]);
    const host = await walHost(log);
    await log.sql.query(
      `insert into event_runtime.outbox (event_id, tenant_id, event_type, payload, recorded_at)
       select gen_random_uuid(), 'acme', 'old', '1', now() - interval '3 days' from generate_series(1, 20)`,
    );
    await log.sql.query('alter table event_runtime.outbox detach partition event_runtime.outbox_underflow');
    await log.sql.query('drop table event_runtime.outbox_underflow');
    await using source = await host.open();
    const events: LoggedEvent[] = [];
    while (events.length < 20) events.push(...(await source.next()));
    expect(events.map(({ event }) => event.eventType)).toEqual(Array.from({ length: 20 }, () => 'old'));
  });

  test('a transaction says which it is and where it ends; one without events has no id', async () => {
    await using log = await LogFixture.create(inject('postgres')[major]);
    const host = await walHost(log);
    await using source = await host.open();
    await log.sql.query('begin');
    await log.emit('one');
    await log.emit('two');
    const { rows } = await log.sql.query<{ id: string }>('select pg_current_xact_id()::text as id');
    await log.sql.query('commit');
    const batches: WalBatch[] = [];
    for await (const batch of source.reader) {
      batches.push(batch);
      if (batch.transactions.some(({ last }) => last !== null)) break;
    }
    const [transaction] = batches.flatMap(({ transactions }) =>
      transactions.filter(({ last }) => last !== null),
    );
    const events = batches.flatMap((batch) => batch.events);
    expect(transaction?.txId?.toString()).toBe(rows[0]?.id);
    expect(transaction?.last).toEqual({ lsn: transaction?.lsn, ordinal: 1 });
    expect(events.map(({ txId }) => txId)).toEqual([transaction?.txId, transaction?.txId]);
    expect(events.map(({ position }) => position)).toEqual([
      { lsn: transaction?.lsn, ordinal: 0 },
      { lsn: transaction?.lsn, ordinal: 1 },
    ]);
    expect(transaction?.endLsn).toBeGreaterThan(transaction?.lsn ?? 0n);
    expect(transaction?.endLsn).toBe(transaction?.ticket.endLsn);
    for (const { txId, last } of batches.flatMap(({ transactions }) => transactions)) {
      expect(txId === null).toBe(last === null);
    }
  });

  test('how far it was read: not before the consumer has taken it, and on while nothing concerns us', async () => {
    await using log = await LogFixture.create(inject('postgres')[major]);
    const host = await walHost(log);
    await using source = await host.open();
    const { reader } = source;
    await log.emit('one');
    await eventually(
      async () => reader.walEnd,
      (end) => end > 0n,
    );
    expect(reader.readTo).toBe(0n);
    while ((await source.next()).length === 0);
    // WAL of a table that is not published, and of no interest.
    await log.sql.query('create table public.other as select generate_series(1, 1000) as n');
    const { rows } = await log.sql.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn');
    const batch: WalBatch[] = [];
    for await (const each of reader) {
      batch.push(each);
      if (reader.readTo >= parseLsn(rows[0]?.lsn ?? '')) break;
    }
    expect(batch.flatMap(({ events }) => events)).toEqual([]);
  });
});
