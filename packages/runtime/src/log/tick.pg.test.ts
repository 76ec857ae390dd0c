import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { LogFixture } from './log-fixture.suite.ts';
import { Snapshot } from './snapshot.ts';
import { boundsOf, tickAfter } from './tick.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let log: LogFixture;
  beforeAll(async () => {
    log = await LogFixture.create(inject('postgres')[major]);
  });
  afterAll(() => log[Symbol.asyncDispose]());
  beforeEach(() => log.empty());

  async function after(snapshot: Snapshot, maxEvents: number): ReturnType<typeof tickAfter> {
    const { later } = await boundsOf(log.pool, snapshot);
    return await tickAfter(log.pool, { snapshot, later, maxEvents });
  }

  async function lastSeq(): Promise<bigint> {
    const { rows } = await log.sql.query<{ seq: string }>(
      'select max(seq)::text as seq from event_runtime.outbox',
    );
    return BigInt(rows[0]?.seq ?? 0);
  }

  test('what a tick promises: where the sequence stood, what it sees, and where the log stood behind that', async () => {
    const open = await log.open('open');
    await log.emit('seen');
    const before = await lastSeq();
    const tick = await log.tick();
    await open.query('commit');
    const { rows } = await log.sql.query<{ type: string; visible: boolean; xid: string }>(
      `select event_type as type, pg_visible_in_snapshot(tx_id, $1) as visible, tx_id::text as xid
         from event_runtime.outbox order by seq`,
      [tick.snapshot.toString()],
    );
    expect(rows.map(({ type, visible }) => [type, visible])).toEqual([
      ['open', false],
      ['seen', true],
    ]);
    for (const { xid, visible } of rows) {
      expect(BigInt(xid)).toBeLessThan(tick.xid);
      expect(tick.snapshot.sees(BigInt(xid))).toBe(visible);
    }
    expect(tick.seq).toBe(before);
    expect(tick.ceiling).toBe(before);
    expect(Math.abs(Date.parse(tick.at) - Date.now())).toBeLessThan(60_000);
    const stored = await log.sql.query(
      'select xid::text, lsn <= pg_current_wal_insert_lsn() as behind from event_runtime.tick',
    );
    expect(stored.rows).toEqual([{ xid: tick.xid.toString(), behind: true }]);
  });

  test('bounds: of all that is not seen, and of the ids from xmax on', async () => {
    expect(await boundsOf(log.pool, await log.now())).toEqual({
      unseen: { seq: 0n, since: null },
      later: { seq: 0n, since: null },
    });
    const first = await log.tick();
    const open = await log.open('open');
    const second = await log.tick();
    await log.emit('after');
    const { rows } = await open.query<{ id: string }>('select pg_current_xact_id()::text as id');
    const id = rows[0]?.id ?? '';
    // As it is where nothing else is open; other databases of the cluster count as well.
    const snapshot = Snapshot.parse(`${id}:${(await log.now()).xmax}:${id}`);
    const bounds = await boundsOf(log.pool, snapshot);
    expect(bounds.unseen.seq).toBe(first.seq);
    expect(bounds.later.seq).toBe(second.seq);
    const yesterday = new Date(Date.now() - 86_400_000 - 3_600_000).toISOString();
    expect((bounds.later.since ?? '') > yesterday).toBe(true);
    // A tick that is taken later changes nothing for an older snapshot.
    await log.tick();
    expect(await boundsOf(log.pool, snapshot)).toEqual(bounds);
    expect(await boundsOf(log.pool, Snapshot.nothing)).toEqual({
      unseen: { seq: 0n, since: null },
      later: { seq: 0n, since: null },
    });
    await open.query('rollback');
  });

  test('a day long ago is found as well', async () => {
    await log.tick();
    await log.emit('one');
    const snapshot = await log.now();
    await log.sql.query("update event_runtime.tick set at = at - interval '40 days'");
    const { later } = await boundsOf(log.pool, snapshot);
    expect(later.since).not.toBeNull();
    expect(Date.parse(later.since ?? '')).toBeLessThan(Date.now() - 39 * 86_400_000);
  });

  test('from tick to tick: batches of about so many events, each leads on, none is missed, and it ends', async () => {
    const start = await log.now();
    for (let index = 0; index < 12; index += 1) {
      await log.bulk(index === 6 ? 500 : 10);
      await log.tick();
    }
    for (const maxEvents of [1, 35, 10_000]) {
      const sizes: number[] = [];
      for (let from = start; ; ) {
        const found = await after(from, maxEvents);
        if (found === undefined) break;
        sizes.push((await log.names(from, found.snapshot)).length);
        expect(sizes.length).toBeLessThan(20);
        from = found.snapshot;
      }
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(610);
      expect(sizes.every((size) => size > 0)).toBe(true);
      if (maxEvents === 1) expect(sizes).toHaveLength(12);
      if (maxEvents === 35) {
        expect(sizes.filter((size) => size < 500).every((size) => size <= 40)).toBe(true);
        expect(sizes.length).toBeLessThan(12);
      }
      if (maxEvents === 10_000) expect(sizes).toHaveLength(1);
    }
  });

  test('a tick whose id is higher and whose snapshot is older is passed over', async () => {
    const late = await log.open('late');
    const tick = await log.tick();
    await late.query('commit');
    await log.emit('one');
    const from = await log.now();
    // As if it had drawn its id before, and had been stored later.
    await log.sql.query('update event_runtime.tick set xid = $1::xid8', [from.xmax.toString()]);
    expect(tick.snapshot.covers(from)).toBe(false);
    expect(await after(from, 100)).toBeUndefined();
    await log.emit('two');
    await log.emit('three');
    const next = await log.tick();
    expect((await after(from, 100))?.xid).toBe(next.xid);
  });

  test('the clock was set back: ticks of the time that was not go, and nothing that follows is missed', async () => {
    await log.tick();
    await log.emit('before');
    await log.tick();
    await log.sql.query("update event_runtime.tick set at = at + interval '9 days'");
    const from = await log.now();
    await log.emit('recorded earlier');
    await log.tick();
    const { rows } = await log.sql.query('select count(*)::int as n from event_runtime.tick');
    expect(rows).toEqual([{ n: 1 }]);
    expect(await log.names(from, await log.now())).toEqual(['recorded earlier']);
  });

  test('many at once', async () => {
    const ticks = await Promise.all(Array.from({ length: 20 }, async () => await log.tick()));
    expect(new Set(ticks.map(({ xid }) => xid)).size).toBe(20);
    for (const { snapshot, xid } of ticks) expect(snapshot.xmin).toBeLessThanOrEqual(xid);
  });

  test('snapshots: "sees" is PostgreSQL’s pg_visible_in_snapshot', async () => {
    const open = [];
    for (let index = 0; index < 5; index += 1) {
      open.push(await log.open(`${index}`));
      await log.emit('ended');
    }
    await open[1]?.query('rollback');
    await open[3]?.query('commit');
    const snapshot = await log.now();
    expect(snapshot.open.size).toBeGreaterThanOrEqual(3);
    const { rows } = await log.sql.query<{ id: string; visible: boolean }>(
      `select i::text as id, pg_visible_in_snapshot(i::text::xid8, $1) as visible
         from generate_series($2::bigint, $3::bigint) i`,
      [snapshot.toString(), (snapshot.xmin - 5n).toString(), (snapshot.xmax + 5n).toString()],
    );
    expect(rows.length).toBeGreaterThan(15);
    for (const { id, visible } of rows) expect([id, snapshot.sees(BigInt(id))]).toEqual([id, visible]);
    const again = await log.sql.query<{ text: string }>('select $1::pg_snapshot::text as text', [
      snapshot.toString(),
    ]);
    expect(again.rows[0]?.text).toBe(snapshot.toString());
  });
});
