import type pg from 'pg';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { beginDrop } from '../../schema/outbox-drop.ts';
import { gapsBetween, listPartitions } from '../../schema/partition-catalog.ts';
import { ensurePartitions } from '../../schema/partitioner.ts';
import { stressService } from '../../testing/service-stress.ts';
import { Retention } from './retention.ts';
import { leaf, RetentionFixture, remembering } from './retention-fixture.suite.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  async function aged(): Promise<RetentionFixture> {
    const fixture = await RetentionFixture.create(inject('postgres')[major]);
    onTestFinished(() => fixture[Symbol.asyncDispose]());
    return fixture;
  }

  /** Stops, as a kill would, where the partition of the day -100 is taken out and not dropped. */
  async function takenOut(fixture: RetentionFixture, forced: boolean): Promise<pg.Client> {
    const client = await fixture.connect();
    await client.query('set role event_runtime_owner');
    await beginDrop(client, { name: leaf(100), forced, archived: null });
    await client.query(
      `alter table event_runtime.outbox detach partition event_runtime.${leaf(100)} concurrently`,
    );
    return client;
  }

  async function expectDropped(fixture: RetentionFixture): Promise<void> {
    expect(await fixture.ages()).toEqual({});
    expect(await fixture.rows('select d.partition from event_runtime.outbox_drop d')).toEqual([]);
    expect(gapsBetween(await listPartitions(fixture.sql, 'outbox'))).toEqual([]);
  }

  test.each(['the next round', 'partition upkeep'])(
    'killed before the drop: %s finishes it, and counts what a sink has passed over meanwhile, once',
    async (healer) => {
      const fixture = await aged();
      await fixture.emit(100, { count: 5 });
      await fixture.sink('catching-up', { read: false });
      await fixture.sink('paused', { read: false });
      await takenOut(fixture, true);
      // It saw nothing there, and went on.
      await fixture.sink('catching-up', { read: true });
      if (healer === 'partition upkeep') await ensurePartitions(await fixture.connect());
      else await fixture.round();
      await expectDropped(fixture);
      const lost = { 'event_runtime/catching-up': 5, 'event_runtime/paused': 5 };
      expect(await fixture.gaps()).toEqual(lost);
      await fixture.round();
      expect(await fixture.gaps()).toEqual(lost);
    },
  );

  test('killed while it waits to detach: the next round finishes it, and counts once', async () => {
    const fixture = await aged();
    await fixture.emit(100, { count: 3 });
    await fixture.sink('sink', { read: false });
    const holder = await fixture.database.connect();
    await holder.query('begin');
    await holder.query('select count(*) from event_runtime.outbox');
    const client = await fixture.connect();
    await client.query("set lock_timeout = '100ms'");
    expect(await fixture.round({ client })).toBe(false);
    expect((await listPartitions(fixture.sql, 'outbox')).filter(({ detaching }) => detaching)).toHaveLength(
      1,
    );
    await fixture.sink('sink', { read: true });
    await holder.query('commit');
    expect(await fixture.round()).toBe(true);
    await expectDropped(fixture);
    expect(await fixture.gaps()).toEqual({ 'event_runtime/sink': 3 });
  });

  test('killed between the mark and the drop: neither has happened, and the next round does both, once', async () => {
    const fixture = await aged();
    await fixture.emit(100, { count: 4 });
    await fixture.sink('sink', { read: false });
    const client = await takenOut(fixture, true);
    await client.query('begin');
    await client.query(`select event_runtime.outbox_drop_finish('${leaf(100)}')`);
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    await fixture.rows('select pg_terminate_backend($1, 5000)', [rows[0]?.pid]);
    expect(await fixture.gaps()).toEqual({});
    expect(await fixture.rows(`select o.seq from event_runtime.${leaf(100)} o`)).toHaveLength(4);
    await fixture.round();
    await expectDropped(fixture);
    expect(await fixture.gaps()).toEqual({ 'event_runtime/sink': 4 });
  });

  test('what turns out not to be read by all is taken back, and who has passed over it is marked', async () => {
    const fixture = await aged();
    await fixture.emit(100, { count: 2 });
    for (const sink of ['passed', 'waiting']) await fixture.sink(sink, { read: true });
    await fixture.sink('live', { read: true, mode: 'live' });
    // After everybody was asked: a clock that was set back.
    await fixture.emit(100);
    await takenOut(fixture, false);
    await fixture.sink('passed', { read: true });
    await fixture.sink('live', { read: true, mode: 'live' });
    await ensurePartitions(await fixture.connect());
    expect(await fixture.ages()).toEqual({ 100: 3 });
    // The WAL has told the live one.
    expect(await fixture.gaps()).toEqual({ 'event_runtime/passed': 1 });
    expect(gapsBetween(await listPartitions(fixture.sql, 'outbox'))).toEqual([]);
    // Nothing is left of DETACH that would cost each INSERT.
    expect(
      await fixture.rows(
        `select c.conname from pg_constraint c
          where c.contype = 'c' and c.conrelid = 'event_runtime.${leaf(100)}'::regclass and c.conislocal`,
      ),
    ).toEqual(
      await fixture.rows(
        `select c.conname from pg_constraint c
          where c.contype = 'c' and c.conrelid = 'event_runtime.${leaf(60)}'::regclass and c.conislocal`,
      ),
    );
  });

  test('the service says of each gapped sink once, and again after a restart; one works at a time', async () => {
    const fixture = await aged();
    await fixture.emit(100, { count: 2 });
    await fixture.sink('sink', { read: false });
    const lives = async (): Promise<Retention> => {
      const retention = new Retention({
        connectionString: fixture.url,
        logger: remembering(fixture.logs),
        intervalMs: 1,
      });
      onTestFinished(() => retention.stop());
      await retention.start();
      return retention;
    };
    const until = async (done: () => Promise<boolean> | boolean): Promise<void> => {
      while (!(await done())) await fixture.rows('select pg_sleep(0.01)');
    };
    // As if another replica were at it.
    const other = await fixture.connect();
    await other.query('select pg_advisory_lock(4409127756320017362)');
    const first = await lives();
    const rounds = async (): Promise<number> =>
      (
        await fixture.rows<{ n: number }>(
          `select s.sessions::int as n from pg_stat_database s where s.datname = current_database()`,
        )
      )[0]?.n ?? 0;
    const before = await rounds();
    await until(async () => (await rounds()) > before + 3);
    expect(await fixture.ages()).toEqual({ 100: 2 });
    await other.end();
    await until(() => fixture.said('relay.sink.gapped').length > 0);
    const after = await rounds();
    await until(async () => (await rounds()) > after + 3);
    await first.stop();
    expect(fixture.said('relay.sink.gapped')).toMatchObject([
      { relay: 'event_runtime', sink: 'sink', shard: 0, events: 2 },
    ]);
    expect(fixture.logs.find(({ event }) => event === 'relay.sink.gapped')?.level).toBe('error');
    const second = await lives();
    await until(() => fixture.said('relay.sink.gapped').length === 2);
    await second.stop();
    expect(fixture.said('retention.failed')).toEqual([]);
  });

  test('any order of start and stop leaves no connection, and time covered', async () => {
    const fixture = await aged();
    const leaked = async (): Promise<string | undefined> => {
      for (let attempt = 0; ; attempt += 1) {
        const rows = await fixture.rows<{ query: string }>(
          `select a.query from pg_stat_activity a
            where a.datname = current_database() and a.application_name = 'event-runtime retention'`,
        );
        if (rows.length === 0) return undefined;
        if (attempt === 100) return JSON.stringify(rows);
        await fixture.rows('select pg_sleep(0.02)');
      }
    };
    await stressService(() => new Retention({ connectionString: fixture.url, intervalMs: 1 }), {
      rounds: 20,
      leaked,
    });
    expect(await fixture.round()).toBe(true);
    expect(gapsBetween(await listPartitions(fixture.sql, 'outbox'))).toEqual([]);
  });
});
