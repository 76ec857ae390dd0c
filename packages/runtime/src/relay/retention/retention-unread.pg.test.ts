import fc from 'fast-check';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { LogFixture, signal } from '../../log/log-fixture.suite.ts';
import { Snapshot } from '../../log/snapshot.ts';
import type { ReadState } from '../../log/unread.ts';
import { startOfDay } from '../../schema/partition-catalog.ts';
import { thinTicks } from './retention-ticks.ts';

const seed = Number(process.env['FC_SEED'] ?? Date.now() % 2 ** 31);
const hourMs = 3_600_000;

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  async function fixture(): Promise<LogFixture> {
    const made = await LogFixture.create(inject('postgres')[major]);
    onTestFinished(() => made[Symbol.asyncDispose]());
    return made;
  }

  /** Events of many transactions, open across each other, and the moments between them. */
  async function history(
    log: LogFixture,
  ): Promise<{ readonly snapshots: Snapshot[]; readonly seqs: bigint[] }> {
    const snapshots = [Snapshot.nothing, await log.now()];
    for (let index = 0; index < 4; index += 1) {
      const early = await log.open(`early${index}`);
      const late = await log.open(`late${index}`);
      await log.bulk(3);
      snapshots.push(await log.now());
      await early.query(index === 2 ? 'rollback' : 'commit');
      await log.emit('single', { key: `k${index}` });
      snapshots.push(await log.now());
      await log.tick();
      await late.query('commit');
      await log.emit('keyless');
      snapshots.push(await log.now());
    }
    const { rows } = await log.sql.query<{ seq: string }>(
      'select o.seq from event_runtime.outbox o order by o.seq',
    );
    return { snapshots, seqs: [0n, ...rows.map((row) => BigInt(row.seq))] };
  }

  test('what a partition holds unread is what the table reader counts, whatever the checkpoint', async () => {
    const log = await fixture();
    const { snapshots, seqs } = await history(log);
    await log.sql.query("update event_runtime.outbox set entity_key = null where event_type = 'keyless'");
    const { rows: leaves } = await log.sql.query<{ name: string }>(
      'select distinct c.relname as name from event_runtime.outbox o join pg_class c on c.oid = o.tableoid',
    );
    const snapshot = fc.constantFrom(...snapshots);
    const seq = fc.constantFrom(...seqs);
    const since = fc.constantFrom('-infinity', 'infinity');
    const state: fc.Arbitrary<ReadState> = fc.oneof(
      fc.record({
        snapshot,
        floorSeq: fc.oneof(fc.constant(0n), seq),
        batch: fc.option(fc.record({ to: snapshot, afterSeq: seq })),
        adoption: fc.constant(null),
      }),
      fc.record({
        snapshot,
        floorSeq: seq,
        batch: fc.constant(null),
        adoption: fc.record({ snapshot, since, afterSeq: seq }),
      }),
    );
    const shard = fc.constantFrom({ index: 0, count: 1 }, { index: 0, count: 3 }, { index: 2, count: 3 });
    let unread = 0;
    await fc.assert(
      fc.asyncProperty(state, shard, async (from, part) => {
        const expected = await log.reader({ shard: part }).countUnread(from, { signal });
        const reader = {
          shard: part.index,
          snapshot: from.snapshot.toString(),
          batch_snapshot: from.batch?.to.toString() ?? null,
          batch_seq: (from.adoption ?? from.batch)?.afterSeq.toString() ?? null,
          floor_seq: from.floorSeq.toString(),
          adopting_snapshot: from.adoption?.snapshot.toString() ?? null,
          adopting_since: from.adoption?.since ?? null,
        };
        const { rows } = await log.sql.query<{ unread: string; most: string }>(
          `select sum(event_runtime.outbox_unread(l.name, c, $3)) as unread,
                  sum(event_runtime.outbox_unread(l.name, c, $3, 1)) as most
             from unnest($1::text[]) as l(name),
                  jsonb_populate_record(null::event_runtime.relay_checkpoint, $2) c`,
          [leaves.map(({ name }) => name), JSON.stringify(reader), part.count],
        );
        expect(Number(rows[0]?.unread)).toBe(expected);
        expect(Number(rows[0]?.most) > 0).toBe(expected > 0);
        unread += expected;
      }),
      { numRuns: 150, seed, verbose: 1 },
    );
    expect(unread).toBeGreaterThan(0);
  });

  test('of a sharded sink, each shard loses its own; of one that reads the WAL, its one row loses all', async () => {
    const log = await fixture();
    await log.sql.query(
      `insert into event_runtime.outbox (event_id, tenant_id, event_type, entity_key, payload)
       select gen_random_uuid(), 'acme', 'e', 'k' || n, '1' from generate_series(1, 40) n`,
    );
    await log.sql.query(
      `insert into event_runtime.relay_checkpoint (relay, sink, shard, epoch, system_identifier, timeline, snapshot)
       select 'r', s.sink, s.shard, 1, '1', 1, '3:3:'
         from (values ('divided', 0), ('divided', 1), ('divided', 2), ('whole', 0)) s(sink, shard)`,
    );
    const { rows } = await log.sql.query<{ sink: string; shard: number; unread: number }>(
      `select (r.reader).sink, (r.reader).shard,
              event_runtime.outbox_unread(
                (select distinct c.relname::text from event_runtime.outbox o join pg_class c on c.oid = o.tableoid),
                r.reader, r.shards)::int as unread
         from event_runtime.outbox_readers() r order by 1, 2`,
    );
    expect(rows.at(-1)).toEqual({ sink: 'whole', shard: 0, unread: 40 });
    const divided = rows.slice(0, 3).map((row) => row.unread);
    expect(divided.reduce((sum, each) => sum + each, 0)).toBe(40);
    for (const each of divided) expect(each).toBeLessThan(40);
  });

  test('ticks older than an hour become one in ten seconds; a reader loses nothing by it', async () => {
    const log = await fixture();
    const now = startOfDay(Date.now()) + 12 * hourMs;
    await log.sql.query(
      `insert into event_runtime.tick (at, xid, seq, snapshot, lsn, ceiling)
       select $1::timestamptz - make_interval(secs => s), (100000 - s)::text::xid8, 1, '3:3:', '0/0', 1
         from generate_series(1, 10800) s`,
      [new Date(now)],
    );
    const left = async (): Promise<unknown> =>
      (
        await log.sql.query<{ recent: number; older: number; most: number }>(
          `select count(*) filter (where t.at >= $1)::int as recent, count(*) filter (where t.at < $1)::int as older,
                  (select max(b.n)::int from (select count(*) as n from event_runtime.tick e where e.at < $1
                     group by date_bin('10 seconds', e.at, '2000-01-01')) b) as most
             from event_runtime.tick t`,
          [new Date(now - hourMs)],
        )
      ).rows[0];
    expect(await thinTicks(log.sql, { now, signal })).toBe(2 * 3_240);
    expect(await left()).toEqual({ recent: 3_600, older: 720, most: 1 });
    expect(await thinTicks(log.sql, { now, signal })).toBe(0);
    await log.sql.query('delete from event_runtime.tick');

    // Batches of a reader that begins before.
    const from = await log.now();
    for (let index = 0; index < 12; index += 1) {
      await log.emit(`e${index}`);
      await log.tick();
    }
    await log.sql.query(`update event_runtime.tick set at = at - interval '3 hours'`);
    expect(await thinTicks(log.sql, { now: Date.now(), signal })).toBeGreaterThanOrEqual(10);
    const names: string[] = [];
    for (let at = from; names.length < 12; ) {
      const end = await log.reader().batchEnd(at, { maxEvents: 5, signal });
      names.push(...(await log.names(at, end.snapshot)));
      at = end.snapshot;
    }
    expect(names).toEqual(Array.from({ length: 12 }, (_, index) => `e${index}`));
  });
});
