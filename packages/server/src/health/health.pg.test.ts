import { metrics } from '@event-runtime/runtime';
import pg from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { allDays } from '../../../runtime/src/testing/migrated-database.ts';
import { eventually } from '../eventually.suite.ts';
import { HealthFixture, readyz, scraped } from './health-fixture.suite.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (version) => {
  const create = async (options?: { migrated?: boolean; from?: string }): Promise<HealthFixture> =>
    await HealthFixture.create(inject('postgres')[version], options);

  test('starting, up, standby, stopping: ready is who does its part or could', async () => {
    await using fixture = await create();
    const first = fixture.replica();
    await first.health.start();
    expect(await readyz(first.health)).toMatchObject({
      status: 503,
      ready: false,
      reasons: [{ code: null, what: 'relay is starting' }],
    });
    await first.relay.start();
    expect(
      await eventually(
        () => readyz(first.health),
        ({ ready }) => ready,
      ),
    ).toMatchObject({
      status: 200,
      holds: ['*'],
      standby: false,
    });
    const second = fixture.replica();
    await second.health.start();
    await second.relay.start();
    expect(
      await eventually(
        () => readyz(second.health),
        ({ ready }) => ready,
      ),
    ).toMatchObject({
      status: 200,
      holds: [],
      standby: true,
    });
    await first.relay.stop();
    expect(await readyz(first.health)).toMatchObject({
      status: 503,
      reasons: [{ what: 'relay is stopped' }],
    });
    const taken = await eventually(
      () => readyz(second.health),
      ({ holds }) => holds.length > 0,
    );
    expect(taken).toMatchObject({ status: 200, standby: false });
  });

  test('the database gone, in three ways, and back: not ready with the reason, and a scrape still answers', async () => {
    await using fixture = await create();
    const { relay, health } = fixture.replica();
    await health.start();
    await relay.start();
    await eventually(
      () => readyz(health),
      ({ ready }) => ready,
    );
    const ways: ReadonlyArray<() => void> = [
      () => {
        fixture.proxy.refuse();
        fixture.proxy.cut();
      },
      () => fixture.proxy.swallow(),
      () => fixture.proxy.stall(),
    ];
    for (const breakIt of ways) {
      breakIt();
      const gone = await eventually(
        () => readyz(health),
        ({ ready }) => !ready,
      );
      expect(gone.status).toBe(503);
      expect(gone.reasons).toEqual([
        {
          code: 'ER1001',
          what: expect.stringContaining('The database cannot be reached.'),
          remedy: expect.stringContaining('DATABASE_URL'),
        },
      ]);
      const values = await scraped(health);
      expect(values.get('event_runtime_database_up')).toBe(0);
      expect(values.get('process_resident_memory_bytes')).toBeGreaterThan(1_000_000);
      expect([...values.keys()].filter((name) => name.startsWith('event_runtime_slot'))).toEqual([]);
      expect(await (await fetch(`http://127.0.0.1:${health.address?.port}/livez`)).text()).toBe('ok\n');
      await fixture.proxy.accept();
      await fixture.proxy.heal();
      fixture.proxy.cut();
      await eventually(
        () => readyz(health),
        ({ ready }) => ready,
      );
    }
  });

  test('a schema that is missing is a reason, with the command that makes it', async () => {
    await using fixture = await create({ migrated: false });
    const { health } = fixture.replica();
    await health.start();
    const { reasons } = await readyz(health);
    expect(reasons).toContainEqual({
      code: 'ER1101',
      what: expect.stringContaining('It has version 0'),
      remedy: expect.stringContaining('event-runtime migrate'),
    });
  });

  test('a slot that is being made is no reason against it, and is seen in the metrics', async () => {
    await using fixture = await create();
    await fixture.sql.query('begin');
    await fixture.sql.query('select pg_current_xact_id()');
    const { relay, health } = fixture.replica();
    await health.start();
    await relay.start();
    await eventually(
      () => readyz(health),
      ({ ready }) => ready,
    );
    await eventually(
      () => scraped(health),
      (values) => values.get('event_runtime_slot_state{state="creating"}') === 1,
    );
    await fixture.sql.query('commit');
    const values = await eventually(
      () => scraped(health),
      (each) => each.get('event_runtime_slot_state{state="active"}') === 1,
    );
    expect(values.get('event_runtime_slot_state{state="creating"}')).toBe(0);
  });

  test('a slot that somebody else reads again and again: ready, and who it is under attention and in the metrics', async () => {
    await using fixture = await create();
    await fixture.sql.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [fixture.name]);
    const stopping = new AbortController();
    const stranger = readAgainAndAgain(fixture, stopping.signal);
    await eventually(
      () =>
        fixture.sql.query('select from pg_replication_slots where slot_name = $1 and active', [fixture.name]),
      ({ rows }) => rows.length === 1,
    );
    const { relay, health } = fixture.replica();
    await health.start();
    await relay.start();
    await eventually(
      () => scraped(health),
      (values) => values.get('event_runtime_slot_state{state="taken"}') === 1,
    );
    const contested = await eventually(
      () => readyz(health),
      ({ ready, attention }) => ready && attention.length > 0,
    );
    expect(contested).toMatchObject({ status: 200, holds: ['*'], reasons: [] });
    expect(contested.attention).toEqual([
      {
        code: 'ER1201',
        what: expect.stringMatching(/is read by process \d+ \("debezium"\)/),
        remedy: expect.stringContaining('relay.slot'),
      },
    ]);
    stopping.abort();
    await fixture.sql.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'debezium' and datname = current_database()",
    );
    await stranger;
    await eventually(
      () => readyz(health),
      ({ attention }) => attention.length === 0,
    );
    await eventually(
      () => scraped(health),
      (values) => values.get('event_runtime_slot_state{state="active"}') === 1,
    );
  });

  test('every metric of the table is exported, and no other; the figures are those of the relay', async () => {
    await using fixture = await create({ from: allDays });
    const { relay, health } = fixture.replica();
    await health.start();
    await relay.start();
    // Before the first one, too: what begins at one never rises.
    await eventually(
      () => scraped(health),
      (each) => each.get('event_runtime_dead_letters{sink="nothing"}') === 0,
    );
    await fixture.sql.query(
      `insert into event_runtime.dead_letter
         (tenant_id, sink, event_id, event_recorded_at, seq, event_type, reason_code, reason, attempts, payload)
       values ('acme', 'nothing', event_runtime.uuid_v7(), now(), 1, 't', 'c', 'r', 1, '{}')`,
    );
    for (let n = 0; n < 5; n += 1) {
      await fixture.sql.query("select event_runtime.emit('a', '{}', tenant_id => 'acme')");
    }
    const values = await eventually(
      () => scraped(health),
      (each) =>
        each.get('event_runtime_sink_delivered_total{sink="nothing"}') === 5 &&
        each.get('event_runtime_sink_mode{sink="nothing",mode="live"}') === 1 &&
        each.get('event_runtime_dead_letters{sink="nothing"}') === 1,
    );
    const names = new Set([...values.keys()].map((key) => key.replace(/\{.*/, '')));
    expect([...names].toSorted()).toEqual(Object.keys(metrics).toSorted());
    expect(values.get('event_runtime_lease_held{sink="*"}')).toBe(1);
    expect(values.get('event_runtime_window_limit_bytes')).toBe(32 * 1_024 * 1_024);
    expect(values.get('event_runtime_partitions_ahead_days')).toBeGreaterThanOrEqual(36);
    expect(values.get('event_runtime_slot_safe_wal_bytes')).toBeGreaterThan(0);
    expect(values.get('event_runtime_slot_catalog_xmin_age_transactions')).toBeGreaterThan(0);
    // What was delivered before a session broke is counted on.
    fixture.proxy.cut();
    await fixture.sql.query("select event_runtime.emit('a', '{}', tenant_id => 'acme')");
    await eventually(
      () => scraped(health),
      (each) => (each.get('event_runtime_sink_delivered_total{sink="nothing"}') ?? 0) >= 6,
    );
  });

  test('a storm of probes and scrapes costs one connection', async () => {
    await using fixture = await create();
    const { health } = fixture.replica();
    await health.start();
    await Promise.all(Array.from({ length: 40 }, () => Promise.all([readyz(health), scraped(health)])));
    const { rows } = await fixture.sql.query(
      `select from pg_stat_activity where datname = current_database() and application_name = 'event-runtime health'`,
    );
    expect(rows).toHaveLength(1);
    expect(fixture.proxy.connected).toBe(1);
    await health.stop();
    await eventually(
      async () =>
        (
          await fixture.sql.query(
            `select from pg_stat_activity where datname = current_database() and application_name = 'event-runtime health'`,
          )
        ).rows.length,
      (left) => left === 0,
    );
  });
});

/** Another program with the slot: it comes back as soon as it was ended. */
async function readAgainAndAgain(fixture: HealthFixture, stopping: AbortSignal): Promise<void> {
  const url = new URL(fixture.database.url);
  url.searchParams.set('application_name', 'debezium');
  url.searchParams.set('replication', 'database');
  while (!stopping.aborted) {
    const client = new pg.Client({ connectionString: url.href });
    client.on('error', () => undefined);
    await client.connect();
    // Whoever stops it terminates what is connected by then: one that comes later must not begin to read.
    if (!stopping.aborted) {
      // Never answered while it reads.
      await client
        .query(
          `START_REPLICATION SLOT ${fixture.name} LOGICAL 0/0 (proto_version '1', publication_names 'event_runtime')`,
        )
        .catch(() => undefined);
    }
    await client.end().catch(() => undefined);
  }
}
