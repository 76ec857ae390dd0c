import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { Emitter, lost } from '../../schema/emitter.suite.ts';
import { gapsBetween, listPartitions } from '../../schema/partition-catalog.ts';
import { ago, leaf, RetentionFixture } from './retention-fixture.suite.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  async function aged(): Promise<RetentionFixture> {
    const fixture = await RetentionFixture.create(inject('postgres')[major]);
    onTestFinished(() => fixture[Symbol.asyncDispose]());
    return fixture;
  }

  test('a partition and all after it stay while one of two sinks has not read it, and go when it has', async () => {
    const fixture = await aged();
    await fixture.emit(60, { count: 3 });
    await fixture.sink('behind', { read: true });
    for (const days of [40, 39, 20, 0]) await fixture.emit(days);
    await fixture.sink('current', { read: true });

    await fixture.round();
    expect(await fixture.ages()).toEqual({ 40: 1, 39: 1, 20: 1, 0: 1 });
    expect(fixture.said('retention.kept')).toEqual([
      { partition: leaf(40), reason: 'unread', sinks: ['event_runtime/behind'] },
    ]);
    expect(gapsBetween(await listPartitions(fixture.sql, 'outbox'))).toEqual([]);

    await fixture.sink('behind', { read: true });
    await fixture.round();
    expect(await fixture.ages()).toEqual({ 20: 1, 0: 1 });
    expect(await fixture.gaps()).toEqual({});
    expect(await fixture.rows('select d.partition from event_runtime.outbox_drop d')).toEqual([]);
  });

  test('a replay goes when it has been over for the days that were asked for; one that is paused stays', async () => {
    const fixture = await aged();
    await fixture.rows(
      `with made as (
         insert into event_runtime.replay
           (relay, sink, state, selection, snapshot, after_seq, upto_seq, total, events_per_second, shards, changed_at)
         select 'event_runtime', name, state, '{}', '3:3:', 0, 9, 9, 500, 2, now() - days * interval '1 day'
           from (values ('done', 'running', 40), ('cancelled', 'cancelled', 40), ('paused', 'paused', 40),
                        ('running', 'running', 40), ('lately', 'running', 40), ('new', 'cancelled', 1)) v(name, state, days)
         returning replay_id, sink, changed_at
       )
       insert into event_runtime.replay_part (replay_id, shard, after_seq, finished_at, updated_at)
       select replay_id, shard, 0, case when sink in ('done', 'lately') or (sink = 'running' and shard = 0) then now() end,
              case when sink = 'lately' and shard = 1 then now() - interval '5 days' else changed_at end
         from made, generate_series(0, 1) as shard`,
    );
    await fixture.round();
    const sinks = async (): Promise<unknown[]> =>
      (await fixture.rows<{ sink: string }>('select sink from event_runtime.replay order by sink')).map(
        ({ sink }) => sink,
      );
    expect(await sinks()).toHaveLength(6);
    await fixture.round({ replayDays: 30 });
    expect(await sinks()).toEqual(['lately', 'new', 'paused', 'running']);
    expect(fixture.said('retention.replays.dropped')).toEqual([{ replays: 2 }]);
    expect(await fixture.rows('select from event_runtime.replay_part')).toHaveLength(8);
  });

  test('a partition goes when all of it is older than the days that were asked for', async () => {
    const fixture = await aged();
    for (const days of [60, 40, 39, 38, 20]) await fixture.emit(days);
    await fixture.round({ outboxDays: 39 });
    expect(await fixture.ages()).toEqual({ 39: 1, 38: 1, 20: 1 });
    await fixture.round({ outboxDays: 38 });
    expect(await fixture.ages()).toEqual({ 38: 1, 20: 1 });
  });

  test('a sink of another relay, a paused one, and one that has never read keep it, too', async () => {
    for (const [relay, sink, paused] of [
      ['other', 'sink', false],
      ['event_runtime', 'paused', true],
    ] as const) {
      const fixture = await aged();
      await fixture.emit(40);
      await fixture.sink('current', { read: true });
      await fixture.sink(sink, { relay, read: false });
      if (paused)
        await fixture.rows(
          "update event_runtime.relay_checkpoint set paused_at = now() where sink = 'paused'",
        );
      await fixture.round();
      expect(await fixture.ages()).toEqual({ 40: 1 });
      expect(fixture.said('retention.kept')).toMatchObject([{ sinks: [`${relay}/${sink}`] }]);
    }
  });

  test('past the maximum it goes, and each sink is marked with exactly what it has lost', async () => {
    const fixture = await aged();
    await fixture.emit(100, { count: 2 });
    await fixture.sink('half', { read: true });
    await fixture.emit(100, { count: 3 });
    // Never happened: no sink loses it.
    await fixture.rows('begin');
    await fixture.emit(100, { count: 7 });
    await fixture.rows('rollback');
    await fixture.emit(60, { count: 4 });
    await fixture.sink('current', { read: true, mode: 'live' });
    await fixture.sink('never', { read: false });
    await fixture.sink('paused', { read: false });
    await fixture.sink('paused', { relay: 'other', read: false });
    await fixture.rows("update event_runtime.relay_checkpoint set paused_at = now() where sink = 'paused'");

    await fixture.round();
    const expected = {
      'event_runtime/half': 3,
      'event_runtime/never': 5,
      'event_runtime/paused': 5,
      'other/paused': 5,
    };
    expect(await fixture.gaps()).toEqual(expected);
    expect(await fixture.ages()).toEqual({ 60: 4 });
    await fixture.round();
    expect(await fixture.gaps()).toEqual(expected);
    // More days, more loss: the count is of all.
    await fixture.round({ maxDays: 45 });
    expect(await fixture.ages()).toEqual({});
    expect(await fixture.gaps()).toMatchObject({ 'event_runtime/half': 7, 'other/paused': 9 });
  });

  test('a transaction that has written to the partition and is still open keeps it', async () => {
    const fixture = await aged();
    await fixture.emit(40);
    const writer = await fixture.database.connect();
    await writer.query('begin');
    await fixture.emit(40, { count: 2, client: writer });
    await fixture.sink('sink', { read: true });
    await fixture.round();
    expect(fixture.said('retention.kept')).toEqual([{ partition: leaf(40), reason: 'open-transaction' }]);
    await writer.query('commit');
    // Committed after the sink's snapshot was taken: unread now.
    await fixture.round();
    expect(fixture.said('retention.kept').at(-1)).toMatchObject({ reason: 'unread' });
    expect(await fixture.ages()).toEqual({ 40: 3 });
    await fixture.sink('sink', { read: true });
    await fixture.round();
    expect(await fixture.ages()).toEqual({});
  });

  test('a pending delivery keeps its payload, up to the maximum; then it is said how many lose theirs', async () => {
    const fixture = await aged();
    for (const days of [100, 40]) await fixture.emit(days);
    await fixture.rows(
      `insert into event_runtime.webhook_application (tenant_id, name) values ('acme', 'Acme')`,
    );
    await fixture.rows(
      `insert into event_runtime.webhook_endpoint (tenant_id, application_id, url, secret)
       select 'acme', a.application_id, 'https://example.com', '' from event_runtime.webhook_application a`,
    );
    await fixture.rows(
      `insert into event_runtime.webhook_delivery (tenant_id, endpoint_id, event_id, event_recorded_at, seq)
       select 'acme', e.endpoint_id, o.event_id, o.recorded_at, o.seq
         from event_runtime.webhook_endpoint e, event_runtime.outbox o`,
    );
    await fixture.round();
    expect(await fixture.ages()).toEqual({ 40: 1 });
    expect(fixture.said('retention.deliveries.abandoned')).toEqual([{ partition: leaf(100), deliveries: 1 }]);
    expect(fixture.said('retention.kept')).toEqual([
      { partition: leaf(40), reason: 'deliveries', deliveries: 1 },
    ]);
    await fixture.rows('delete from event_runtime.webhook_delivery');
    await fixture.round();
    expect(await fixture.ages()).toEqual({});
    expect(fixture.said('retention.deliveries.abandoned')).toHaveLength(1);
  });

  test('the inbox and the ticks live as long as events of their time; attempts go by their age', async () => {
    const fixture = await aged();
    for (const days of [60, 39]) await fixture.emit(days);
    await fixture.sink('sink', { read: true });
    await fixture.emit(40);
    for (const days of [60, 40, 39, 20]) {
      await fixture.rows(
        `insert into event_runtime.consumer_idempotency (consumer, event_id, recorded_at)
         values ('webhooks', gen_random_uuid(), $1)`,
        [ago(days)],
      );
      await fixture.rows(
        `insert into event_runtime.tick (at, xid, seq, snapshot, lsn, ceiling) values ($1, '9', 1, '3:3:', '0/0', 1)`,
        [ago(days)],
      );
      await fixture.rows(
        `insert into event_runtime.webhook_attempt
           (tenant_id, endpoint_id, event_id, attempt, outcome, attempted_at)
         values ('acme', gen_random_uuid(), gen_random_uuid(), 1, 'delivered', $1)`,
        [ago(days)],
      );
    }
    const left = async (): Promise<unknown> => {
      const count = (table: string, column: string): string =>
        `(select array_agg(extract(day from $1::timestamptz - t.${column})::int order by 1)
            from event_runtime.${table} t) as ${table}`;
      const rows = await fixture.rows(
        `select ${count('consumer_idempotency', 'recorded_at')}, ${count('tick', 'at')},
                ${count('webhook_attempt', 'attempted_at')}`,
        [ago(0)],
      );
      return rows[0];
    };
    await fixture.round();
    // The outbox keeps the day -40 for the sink, and with it what is after.
    expect(await fixture.ages()).toEqual({ 40: 1, 39: 1 });
    const kept = [20, 39, 40].toReversed();
    const sorted = (ages: unknown): unknown => (ages as number[]).toSorted((a, b) => b - a);
    const first = (await left()) as Record<string, unknown>;
    expect(sorted(first['consumer_idempotency'])).toEqual(kept);
    expect(sorted(first['tick'])).toEqual(kept);
    expect(first['webhook_attempt']).toEqual([20]);
    await fixture.sink('sink', { read: true });
    await fixture.round();
    expect(await left()).toEqual({ consumer_idempotency: [20], tick: [20], webhook_attempt: [20] });
  });

  test('before another cluster is adopted nothing of the outbox goes, for nobody can tell what was read', async () => {
    const fixture = await aged();
    await fixture.emit(100);
    await fixture.sink('sink', { read: true });
    await fixture.rows("update event_runtime.relay_checkpoint set system_identifier = '1'");
    expect(await fixture.round()).toBe(false);
    expect(fixture.said('retention.failed')).toMatchObject([{ table: 'outbox', error: { code: 'ER1206' } }]);
    expect(await fixture.ages()).toEqual({ 100: 1 });
  });

  test('emits never wait for a round, also beside a transaction that stays open', async () => {
    const fixture = await aged();
    for (const days of [100, 60, 40]) await fixture.emit(days, { count: 50 });
    await fixture.sink('sink', { read: false });
    const holder = await fixture.database.connect();
    await holder.query('begin');
    await holder.query('select count(*) from event_runtime.outbox');

    const emitter = await Emitter.start(fixture.database);
    await emitter.more(20);
    // It cannot be detached while the transaction is open; that is no harm, and tried again.
    expect(await fixture.round()).toBe(false);
    expect(fixture.said('retention.failed')).toMatchObject([{ table: 'outbox', error: { code: 'ER1105' } }]);
    await emitter.more(20);
    await holder.query('commit');
    expect(await fixture.round({ maxDays: 30 })).toBe(true);
    await emitter.more(20);
    await emitter.stop();
    expect(emitter.failures).toEqual([]);
    expect(await lost(fixture.sql, emitter.emitted)).toBe(0);
    expect(await fixture.gaps()).toEqual({ 'event_runtime/sink': 150 });
    expect(gapsBetween(await listPartitions(fixture.sql, 'outbox'))).toEqual([]);
  });

  test('a partition that all have read is let go after a look at its index, not at its rows', async () => {
    const fixture = await aged();
    await fixture.emit(40, { count: 5_000 });
    await fixture.emit(20);
    for (const sink of ['a', 'b', 'c']) await fixture.sink(sink, { read: true });
    await fixture.rows('vacuum analyze event_runtime.outbox');
    const owner = await fixture.connect();
    await owner.query('set role event_runtime_owner');
    const looked = async (): Promise<number> => {
      await owner.query('select pg_stat_force_next_flush()');
      const { rows } = await owner.query<{ looked: number }>(
        `select (s.seq_tup_read + s.idx_tup_fetch
                 + (select sum(i.idx_tup_read) from pg_stat_user_indexes i where i.relid = s.relid))::int as looked
           from pg_stat_user_tables s where s.relname = $1`,
        [leaf(40)],
      );
      return rows[0]?.looked ?? Number.NaN;
    };
    // What the sessions before have looked at is counted up to a second later: only the least of several looks is ours.
    let least = Number.POSITIVE_INFINITY;
    for (let look = 0; look < 3; look += 1) {
      const before = await looked();
      const { rows } = await owner.query<{ unread: string }>(
        `select event_runtime.outbox_unread($1, r.reader, r.shards, 1) as unread from event_runtime.outbox_readers() r`,
        [leaf(40)],
      );
      expect(rows.map((row) => row.unread)).toEqual(['0', '0', '0']);
      least = Math.min(least, (await looked()) - before);
    }
    expect(least).toBeLessThan(20);
  });
});
