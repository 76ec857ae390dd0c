import pg from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { eventually } from '../../replication/stream-fixture.suite.ts';
import { allDays } from '../../testing/migrated-database.ts';
import { Consumer, RelayFixture } from '../relay-fixture.suite.ts';
import { type RelayReport, relayReport, type SinkReport } from './relay-report.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (version) => {
  const url = (): string => inject('postgres')[version];

  const reportOf = async (fixture: RelayFixture, options: object = {}): Promise<RelayReport> =>
    await relayReport(fixture.pool, { relay: fixture.slot, slot: fixture.slot, ...options });
  const sinkOf = (report: RelayReport, name: string): SinkReport => {
    const found = report.sinks.filter(({ sink }) => sink === name);
    expect(found).toHaveLength(1);
    return found[0]!;
  };

  test('before anything runs: no slot, no sink, no lease; the rest is there', async () => {
    await using fixture = await RelayFixture.create(url(), allDays);
    const report = await reportOf(fixture);
    expect(report).toMatchObject({
      relay: fixture.slot,
      server: {
        walLevel: 'logical',
        inRecovery: false,
        maxSlotWalKeepBytes: 2 * 1_073_741_824,
        version: expect.stringMatching(`^${version}\\.`),
      },
      slot: { name: fixture.slot, condition: 'missing', restartLagBytes: null, failover: null },
      leases: [],
      sinks: [],
      deadLetters: [],
      replays: [],
      webhooks: { pending: 0, oldestSeconds: null },
    });
    expect(report.server.versionNumber).toBeGreaterThan(Number(version) * 10_000);
    expect(Math.abs(Date.parse(report.at) - Date.now())).toBeLessThan(60_000);
    expect(report.partitions.map(({ table }) => table)).toEqual([
      'consumer_idempotency',
      'outbox',
      'tick',
      'webhook_attempt',
    ]);
    for (const { daysAhead } of report.partitions) expect(daysAhead).toBeGreaterThanOrEqual(36);
  });

  test('a live sink has everything, a blocked one has not: counted exactly, and aged', async () => {
    await using fixture = await RelayFixture.create(url());
    const free = new Consumer('free');
    const blocked = new Consumer('blocked');
    const relay = fixture.relay([free.source, blocked.source]);
    await relay.start();
    await fixture.live(relay);
    // Only what a sink has refused can be unread for good.
    blocked.gate = () => {
      throw new Error('not now');
    };
    for (let n = 0; n < 7; n += 1) await fixture.emit({ entityKey: `e${n}` });
    await free.has(7);
    const report = await eventually(
      () => reportOf(fixture),
      (each) => sinkOf(each, 'free').unreadEvents === 0,
    );
    expect(sinkOf(report, 'free')).toMatchObject({ oldestUnreadSeconds: 0, paused: false, gappedEvents: 0 });
    const behind = sinkOf(report, 'blocked');
    expect(behind.unreadEvents).toBe(7);
    const [age] = await fixture.rows<{ age: number }>(
      'select extract(epoch from clock_timestamp() - min(recorded_at))::float8 as age from event_runtime.outbox',
    );
    expect(behind.oldestUnreadSeconds).toBeGreaterThan(0);
    expect(behind.oldestUnreadSeconds).toBeLessThanOrEqual(age!.age);
    const capped = await reportOf(fixture, { unreadCap: 3 });
    expect(sinkOf(capped, 'blocked').unreadEvents).toBe(3);
    expect(report.slot).toMatchObject({ condition: 'active', walStatus: 'reserved' });
    expect(report.slot.restartLagBytes).toBeGreaterThanOrEqual(report.slot.flushLagBytes!);
    expect(report.slot.safeWalBytes).toBeGreaterThan(0);
    expect(report.slot.failover).toBe(version === '15' ? null : true);
    expect(report.leases.map(({ sink }) => sink.replace(/@.*/, '@'))).toEqual(['*', '@']);
    expect(report.leases[0]).toMatchObject({ holder: expect.stringMatching(`:${process.pid}$`) });
    expect(report.leases[0]?.remainingSeconds).toBeGreaterThan(0);
  });

  test('an uncommitted event is not unread, one of an old transaction that commits late is', async () => {
    await using fixture = await RelayFixture.create(url());
    const consumer = new Consumer();
    const relay = fixture.relay([consumer.source]);
    await relay.start();
    await fixture.live(relay);
    const late = await fixture.database.connect();
    await late.query('begin');
    await fixture.emit({ entityKey: 'late' }, late);
    await fixture.emit({ entityKey: 'early' });
    await consumer.has(1);
    await eventually(
      () => reportOf(fixture),
      (each) => sinkOf(each, 'consumer').unreadEvents === 0,
    );
    await relay.stop();
    expect(sinkOf(await reportOf(fixture), 'consumer').unreadEvents).toBe(0);
    await late.query('commit');
    expect(sinkOf(await reportOf(fixture), 'consumer').unreadEvents).toBe(1);
  });

  test('the relay stopped: the slot is inactive and its lag grows; no lease; paused and gapped are told', async () => {
    await using fixture = await RelayFixture.create(url());
    const relay = fixture.relay([new Consumer('a').source]);
    await relay.start();
    await fixture.live(relay);
    await relay.stop();
    await fixture.slotIsFree();
    const before = await reportOf(fixture);
    expect(before.slot.condition).toBe('inactive');
    expect(before.leases).toEqual([]);
    await fixture.rows("select pg_logical_emit_message(false, 'x', repeat('x', 100000))");
    await fixture.rows(
      "update event_runtime.relay_checkpoint set paused_at = now(), gapped_events = 41, mode = 'live'",
    );
    const after = await reportOf(fixture);
    expect(after.slot.flushLagBytes! - before.slot.flushLagBytes!).toBeGreaterThan(90_000);
    const sink = sinkOf(after, 'a');
    expect(sink).toMatchObject({ paused: true, gappedEvents: 41, mode: 'live' });
    expect(sink.positionLagBytes).toBeGreaterThan(90_000);
  });

  test('a slot that is being made, and one that is not ours', async () => {
    await using fixture = await RelayFixture.create(url());
    await using open = await openTransaction(fixture);
    const maker = await fixture.database.connect();
    const making = maker.query('select pg_create_logical_replication_slot($1, $2)', [
      fixture.slot,
      'pgoutput',
    ]);
    await eventually(
      () => reportOf(fixture),
      (each) => each.slot.condition === 'creating',
    );
    await open.end();
    await making;
    expect((await reportOf(fixture)).slot.condition).toBe('inactive');
    await fixture.dropSlot();
    await fixture.rows("select pg_create_logical_replication_slot($1, 'test_decoding')", [fixture.slot]);
    expect((await reportOf(fixture)).slot.condition).toBe('foreign');
  });

  test('a checkpoint of another cluster: unread is not known, and that is said', async () => {
    await using fixture = await RelayFixture.create(url());
    await fixture.rows(
      `insert into event_runtime.relay_checkpoint (relay, sink, epoch, system_identifier, timeline, snapshot)
       values ($1, 'moved', 1, '1', 1, '3:3:')`,
      [fixture.slot],
    );
    await fixture.emit();
    expect(sinkOf(await reportOf(fixture), 'moved')).toMatchObject({
      unreadEvents: null,
      oldestUnreadSeconds: null,
    });
  });

  test('a sink in parts: each part has its own, and parts of an earlier division do not count', async () => {
    await using fixture = await RelayFixture.create(url());
    await fixture.rows(
      `insert into event_runtime.relay_checkpoint (relay, sink, shard, epoch, system_identifier, timeline, snapshot)
       select $1, 'parts', s, 1, (select system_identifier::text from pg_control_system()), 1, '3:3:'
         from generate_series(0, 2) s`,
      [fixture.slot],
    );
    for (let n = 0; n < 20; n += 1) await fixture.emit({ entityKey: `e${n}` });
    const { sinks } = await reportOf(fixture, { shards: 2 });
    expect(sinks.map(({ shard }) => shard)).toEqual([0, 1]);
    const [one, other] = sinks.map(({ unreadEvents }) => unreadEvents!);
    expect(one! + other!).toBe(20);
    expect(one).toBeGreaterThan(0);
    expect(other).toBeGreaterThan(0);
  });

  test('dead letters and pending deliveries, counted up to the cap', async () => {
    await using fixture = await RelayFixture.create(url());
    await fixture.rows(
      `insert into event_runtime.dead_letter
         (tenant_id, sink, event_id, event_recorded_at, seq, event_type, reason_code, reason, attempts, payload)
       select 'acme', case when n < 3 then 'a' else 'b' end, event_runtime.uuid_v7(), now(), n, 't', 'c', 'r', 1, '{}'
         from generate_series(1, 5) n`,
    );
    await fixture.rows(
      `with a as (insert into event_runtime.webhook_application (tenant_id, name) values ('acme', 'x') returning application_id),
       e as (insert into event_runtime.webhook_endpoint (tenant_id, application_id, url, secret)
             select 'acme', application_id, 'http://x.test', '' from a returning endpoint_id)
       insert into event_runtime.webhook_delivery (tenant_id, endpoint_id, event_id, event_recorded_at, seq, created_at)
       select 'acme', endpoint_id, event_runtime.uuid_v7(), now(), n, now() - interval '1 hour' * (4 - n)
         from e, generate_series(1, 3) n`,
    );
    const report = await reportOf(fixture);
    expect(report.deadLetters).toEqual([
      { sink: 'a', count: 2 },
      { sink: 'b', count: 3 },
    ]);
    expect(report.webhooks.pending).toBe(3);
    expect(Math.round(report.webhooks.oldestSeconds! / 3_600)).toBe(3);
    const capped = await reportOf(fixture, { countCap: 2 });
    expect(capped.webhooks.pending).toBe(2);
    expect(capped.deadLetters.map(({ count }) => count)).toEqual([2, 2]);
  });

  test('it writes nothing, and a client will do as well as a pool', async () => {
    await using fixture = await RelayFixture.create(url());
    const client = new pg.Client({
      connectionString: fixture.database.url,
      options: '-c role=event_runtime_service -c default_transaction_read_only=on',
    });
    await client.connect();
    await fixture.emit();
    await expect(relayReport(client, { relay: 'x', slot: 'x' })).resolves.toMatchObject({ sinks: [] });
    await client.end();
  });
});

/** A transaction with an id, ended by `end` or at dispose. */
async function openTransaction(
  fixture: RelayFixture,
): Promise<AsyncDisposable & { readonly end: () => Promise<void> }> {
  const client = await fixture.database.connect();
  await client.query('begin');
  await client.query('select pg_current_xact_id()');
  const end = async (): Promise<void> => {
    await client.query('rollback');
  };
  return { end, [Symbol.asyncDispose]: end };
}
