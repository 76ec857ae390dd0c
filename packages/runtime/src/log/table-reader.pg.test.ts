import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { collect, LogFixture, signal } from './log-fixture.suite.ts';
import { Snapshot } from './snapshot.ts';
import { TableReader } from './table-reader.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let log: LogFixture;
  beforeAll(async () => {
    log = await LogFixture.create(inject('postgres')[major]);
  });
  afterAll(() => log[Symbol.asyncDispose]());
  beforeEach(() => log.empty());

  test('an event as it comes: each column, the bytes of the payload, the time', async () => {
    const payload = ' {"n": 1.0, "big": 9007199254740993, "s": "\u00e9 \ufeff \\u0000", "n": 2}\n';
    const from = await log.now();
    await log.sql.query(
      `select 1 from event_runtime.emit('claim.approved', $1, 'acme', 'key', 'ofb', 3, 'idem', 'corr', 'caus', 'svc',
        '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', '{"a": "1"}')`,
      [payload],
    );
    await log.sql.query(`select 1 from event_runtime.emit('bare', '[]', 'acme')`);
    const before = performance.timeOrigin + performance.now();
    const [full, bare] = await log.read(from, await log.now());
    const { rows } = await log.sql
      .query<Record<string, string>>(
        `set timezone = 'UTC'; select event_id, seq, tx_id::text, recorded_at::text,
        (extract(epoch from recorded_at) * 1000)::text as ms from event_runtime.outbox order by seq`,
      )
      .then((results) => (results as unknown as { rows: Record<string, string>[] }[])[1] ?? { rows: [] });
    expect(full).toMatchObject({
      event: {
        eventId: rows[0]?.['event_id'],
        seq: BigInt(rows[0]?.['seq'] ?? ''),
        tenantId: 'acme',
        ecosystem: 'ofb',
        eventType: 'claim.approved',
        eventVersion: 3,
        entityKey: 'key',
        idempotencyKey: 'idem',
        correlationId: 'corr',
        causationId: 'caus',
        sourceService: 'svc',
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        headers: '{"a": "1"}',
        recordedAt: rows[0]?.['recorded_at'],
      },
      txId: BigInt(rows[0]?.['tx_id'] ?? ''),
      position: null,
    });
    expect(full?.event.payload).toEqual(Buffer.from(payload));
    expect(full?.committedAt).toBeCloseTo(Number(rows[0]?.['ms']), 2);
    expect(full?.capturedAt).toBeGreaterThanOrEqual(before);
    expect(bare?.event).toMatchObject({ entityKey: null, ecosystem: null, headers: null, eventVersion: 1 });
  });

  test('whatever the time zone and style of the connection, the time is UTC in ISO', async () => {
    const options = '-c timezone=Asia/Kolkata -c datestyle=SQL,DMY';
    const pool = new pg.Pool({ connectionString: log.database.url, options });
    const from = await log.now();
    await log.emit('one');
    const reader = new TableReader({ pool });
    const [page] = await log.pages({ from, to: await log.now() }, reader);
    await pool.end();
    const one = page?.events[0];
    expect(one?.event.recordedAt).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00$/);
    expect(Math.abs((one?.committedAt ?? 0) - Date.now())).toBeLessThan(60_000);
  });

  test('a late commit is in a later batch, with and without ticks in between', async () => {
    const start = await log.now();
    const late = await log.open('late 1');
    await log.emit('early 1');
    const middle = await log.now();
    expect(await log.names(start, middle)).toEqual(['early 1']);
    await log.tick();
    await log.emit('early 2');
    await log.tick();
    await log.emit('late 2', { client: late });
    const after = await log.now();
    await late.query('commit');
    const end = await log.now();
    expect(await log.names(middle, after)).toEqual(['early 2']);
    expect(await log.names(after, end)).toEqual(['late 1', 'late 2']);
    expect(await log.names(start, end)).toEqual(['late 1', 'early 1', 'early 2', 'late 2']);
    expect(await log.names(Snapshot.nothing, end)).toEqual(['late 1', 'early 1', 'early 2', 'late 2']);
    expect(await log.names(end, end)).toEqual([]);
  });

  test('an id from xmax on may be older than the snapshot: its first events are not lost', async () => {
    await log.emit('before');
    await log.tick();
    const old = await log.open('old 1');
    const { rows } = await old.query<{ id: string }>('select pg_current_xact_id()::text as id');
    const id = rows[0]?.id ?? '';
    // As it is where nothing with a higher id has ended; in other databases of this cluster something may have.
    const from = Snapshot.parse(`${id}:${id}:`);
    expect(from.sees(BigInt(id))).toBe(false);
    // A tick that is taken now stands behind the first event, and is newer than the snapshot.
    await log.tick();
    await log.emit('old 2', { client: old });
    await old.query('commit');
    await log.tick();
    expect(await log.names(from, await log.now())).toEqual(['old 1', 'old 2']);
  });

  test('a tick that was taken while a transaction was open does not hide it, whatever the order of their ids', async () => {
    const old = await log.open('old 1');
    const ticks = [await log.tick(), await log.tick()];
    const newer = await log.open('newer 1');
    ticks.push(await log.tick());
    await log.emit('old 2', { client: old });
    await old.query('commit');
    ticks.push(await log.tick());
    await newer.query('commit');
    ticks.push(await log.tick());
    const told: string[] = [];
    let from = Snapshot.nothing;
    for (const { snapshot } of ticks) {
      told.push(...(await log.names(from, snapshot)));
      from = snapshot;
    }
    expect(told).toEqual(['old 1', 'old 2', 'newer 1']);
  });

  test('rolled-back work does not come, and a savepoint that was rolled back to leaves what stood before', async () => {
    const from = await log.now();
    const client = await log.open('kept 1');
    await client.query('savepoint a');
    await log.emit('undone', { client });
    await client.query('rollback to a');
    await log.emit('kept 2', { client });
    await client.query('savepoint b');
    await log.emit('kept 3', { client });
    await client.query('release b');
    await client.query('commit');
    const gone = await log.open('gone');
    await gone.query('rollback');
    const events = await log.read(from, await log.now());
    expect(events.map(({ event }) => event.eventType)).toEqual(['kept 1', 'kept 2', 'kept 3']);
    expect(new Set(events.map(({ txId }) => txId)).size).toBe(1);
  });

  test('pages: bounded in events, gone on with after the last seq, whatever the page', async () => {
    const open = await log.open('open 0');
    for (let index = 1; index < 40; index += 1) await log.emit(`open ${index}`, { client: open });
    await log.bulk(25, { name: 'seen' });
    await log.tick();
    await log.bulk(25, { name: 'seen' });
    const from = await log.now();
    await log.bulk(25);
    await open.query('commit');
    await log.tick();
    await log.bulk(25);
    const to = await log.now();
    await log.bulk(25, { name: 'not yet' });
    const whole = (await log.read(from, to)).map(({ event }) => event.seq);
    expect(whole).toHaveLength(90);
    for (const pageEvents of [1, 7, 20, 1_000]) {
      const reader = log.reader({ pageEvents });
      const pages = await log.pages({ from, to }, reader);
      expect(pages.flatMap(({ events }) => events.map(({ event }) => event.seq))).toEqual(whole);
      for (const { events, lastSeq } of pages) {
        expect(events.length).toBeLessThanOrEqual(pageEvents);
        expect(lastSeq).toBe(events.at(-1)?.event.seq);
      }
      const middle = pages[Math.floor(pages.length / 2)]?.lastSeq ?? 0n;
      const rest = await log.pages({ from, to, afterSeq: middle }, reader);
      expect(rest.flatMap(({ events }) => events.map(({ event }) => event.seq))).toEqual(
        whole.filter((seq) => seq > middle),
      );
    }
  });

  test('many transactions with many events each: pages are complete up to their last seq', async () => {
    const clients = [];
    for (let index = 0; index < 12; index += 1) clients.push(await log.open(`${index}`));
    // One of them has far more than the rest, and all of that before what comes last.
    for (let round = 0; round < 60; round += 1) await log.emit('more', { client: clients[0] as pg.Client });
    for (const client of clients) await log.emit('last', { client });
    await log.tick();
    const from = await log.now();
    for (const client of clients) await client.query('commit');
    const to = await log.now();
    // Twelve transactions, pages of 40: at most 20 of each are asked for.
    const seqs = (await log.pages({ from, to }, log.reader({ pageEvents: 40 }))).flatMap(({ events }) =>
      events.map(({ event }) => event.seq),
    );
    const { rows } = await log.sql.query<{ seq: string }>(
      'select seq from event_runtime.outbox order by seq',
    );
    expect(seqs).toEqual(rows.map((row) => BigInt(row.seq)));
  });

  test('a batch that ends now begins with a small page; one that ends at a tick, where nobody waits, does not', async () => {
    const sizes = async (reader: TableReader, from: Snapshot): Promise<readonly [boolean, number[]]> => {
      const { snapshot: to, latest } = await reader.batchEnd(from, { maxEvents: 3_000, signal });
      const pages = await log.pages({ from, to }, reader);
      return [latest, pages.map(({ events }) => events.length)];
    };
    await log.tick();
    const from = await log.now();
    await log.bulk(2_600);
    expect(await sizes(log.reader(), from)).toEqual([true, [100, 400, 1_000, 1_000, 100]]);
    expect(await sizes(log.reader({ pageEvents: 250 }), from)).toEqual([
      true,
      [100, ...Array.from({ length: 10 }, () => 250)],
    ]);
    expect(await sizes(log.reader({ pageEvents: 50 }), from)).toEqual([
      true,
      Array.from({ length: 52 }, () => 50),
    ]);
    await log.tick();
    await log.bulk(1_000);
    expect(await sizes(log.reader(), from)).toEqual([false, [1_000, 1_000, 600]]);
  });

  test('pages that grow: in order and complete, also of transactions that were open where the batch begins', async () => {
    const clients = [];
    for (let index = 0; index < 3; index += 1) clients.push(await log.open(`${index}`));
    const [large, ...others] = clients as [pg.Client, ...pg.Client[]];
    // Of the first page the large one has more than its part; behind that they take turns.
    await log.bulk(150, { client: large });
    for (let round = 0; round < 40; round += 1) {
      await log.bulk(5, { client: large });
      for (const client of others) await log.bulk(3, { client });
    }
    await log.tick();
    const reader = log.reader();
    const { snapshot: from } = await reader.moment({ signal });
    for (const client of clients) await client.query('commit');
    await log.bulk(1_200);
    const { snapshot: to } = await reader.moment({ signal });
    const pages = await log.pages({ from, to }, reader);
    const { rows } = await log.sql.query<{ seq: string }>(
      'select seq from event_runtime.outbox order by seq',
    );
    expect(rows).toHaveLength(3 + 150 + 40 * 11 + 1_200);
    expect(pages.flatMap(({ events }) => events.map(({ event }) => event.seq))).toEqual(
      rows.map(({ seq }) => BigInt(seq)),
    );
    const sizes = pages.map(({ events }) => events.length);
    expect(sizes[0]).toBeLessThanOrEqual(100);
    expect(sizes[1]).toBeLessThanOrEqual(400);
    expect(Math.max(...sizes)).toBe(1_000);
    // From the middle on it is as before.
    const middle = pages[1]?.lastSeq ?? 0n;
    const rest = await log.pages({ from, to, afterSeq: middle }, reader);
    expect(rest.flatMap(({ events }) => events.map(({ event }) => event.seq))).toEqual(
      rows.map(({ seq }) => BigInt(seq)).filter((seq) => seq > middle),
    );
  });

  test('pages: bounded in bytes, as they are in memory; a larger event is a page of its own', async () => {
    const from = await log.now();
    const emit = async (text: string): Promise<void> => {
      await log.sql.query(`select 1 from event_runtime.emit('large', to_json($1::text), 'acme')`, [text]);
    };
    for (let index = 0; index < 6; index += 1) await emit('x'.repeat(60_000));
    await emit('y'.repeat(500_000));
    await emit('z');
    const stored = await log.sql.query<{ stored: number }>(
      'select max(pg_column_size(payload)) as stored from event_runtime.outbox',
    );
    expect(stored.rows[0]?.stored).toBeLessThan(10_000);
    const pages = await log.pages({ from, to: await log.now() }, log.reader({ pageBytes: 150_000 }));
    expect(pages.map(({ events }) => events.length)).toEqual([2, 2, 2, 1, 1]);
    expect(pages[3]?.events[0]?.event.payload.length).toBe(500_002);
  });

  test('shards: disjoint, together everything, an entity always in the same one', async () => {
    const from = await log.now();
    for (let index = 0; index < 60; index += 1) await log.emit('keyed', { key: `k${index % 20}` });
    await log.sql.query(`select event_runtime.emit('unkeyed', '1', 'acme') from generate_series(1, 40)`);
    await log.tick();
    const to = await log.now();
    const homes = new Map<string, number>();
    const seqs: bigint[] = [];
    for (let index = 0; index < 3; index += 1) {
      const pages = await log.pages({ from, to }, log.reader({ shard: { index, count: 3 }, pageEvents: 10 }));
      const events = pages.flatMap((page) => page.events);
      expect(events.length).toBeGreaterThan(5);
      for (const { event } of events) {
        seqs.push(event.seq);
        if (event.entityKey === null) continue;
        expect(homes.get(event.entityKey) ?? index).toBe(index);
        homes.set(event.entityKey, index);
      }
    }
    expect(seqs.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(
      (await log.read(from, to)).map(({ event }) => event.seq),
    );
    expect(seqs).toHaveLength(100);
    expect(homes.size).toBe(20);
  });

  test('rows up to the floor are no part of a batch; adopted ones are read once, by what was delivered before', async () => {
    await log.emit('delivered');
    const delivered = await log.now();
    await log.emit('undelivered 1');
    await log.emit('undelivered 2');
    const { rows } = await log.sql.query<{ floor: string; since: string }>(
      'select max(seq)::text as floor, clock_timestamp()::text as since from event_runtime.outbox',
    );
    const floorSeq = BigInt(rows[0]?.floor ?? '');
    await log.emit('new');
    const pages = await log.pages({ from: Snapshot.nothing, to: await log.now(), floorSeq });
    expect(pages.flatMap(({ events }) => events.map(({ event }) => event.eventType))).toEqual(['new']);
    const adopted = async (
      range: { readonly afterSeq?: bigint; readonly since?: string },
      pageEvents = 1,
    ): Promise<string[]> => {
      const adoption = { snapshot: delivered, since: rows[0]?.since ?? '', afterSeq: 0n, floorSeq, ...range };
      const found = await collect(log.reader({ pageEvents }).readAdopted(adoption, { signal }));
      return found.flatMap(({ events }) => events.map(({ event }) => event.eventType));
    };
    expect(await adopted({})).toEqual(['undelivered 1', 'undelivered 2']);
    expect(await adopted({}, 1_000)).toEqual(['undelivered 1', 'undelivered 2']);
    expect(await adopted({ afterSeq: floorSeq - 1n })).toEqual(['undelivered 2']);
    // Written after the last checkpoint of the old cluster, by whatever transaction.
    expect(await adopted({ since: '2000-01-01' })).toEqual(['delivered', 'undelivered 1', 'undelivered 2']);
  });
});
