import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { deferred } from '../internal/deferred.ts';
import { orAborted } from '../internal/or-aborted.ts';
import { type RunContext, Service } from '../lifecycle/service.ts';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { Leased } from './lease/leased.ts';
import { faultless } from './ledger.suite.ts';
import { Consumer, RelayFixture } from './relay-fixture.suite.ts';
import { ReplicaFleet } from './replica-fleet.suite.ts';

/** Runs until it is stopped, and does nothing. */
class Idle extends Service {
  protected override async run(context: RunContext): Promise<void> {
    context.ready();
    await orAborted(deferred().promise, context.stopping);
  }
}

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let fleet: ReplicaFleet;
  beforeEach(async () => {
    fleet = await ReplicaFleet.create(inject('postgres')[major]);
  });
  afterEach(async () => {
    await fleet[Symbol.asyncDispose]();
  });

  test.each([1, 4])(
    'the table is polled, %d shards: two replicas take part, one is killed; nothing lost, order kept',
    async (shards) => {
      const settings = { source: 'table', shards, leaseMs: 1_000, pollMs: 20 } as const;
      const replicas = [await fleet.start(settings), await fleet.start(settings)] as const;
      // Half of the units each: of the sinks, or of their shards.
      await eventually(
        () =>
          fleet.fixture.rows<{ units: number }>(
            `select count(*)::int as units from event_runtime.relay_lease
              where sink not like '@%' and expires_at > clock_timestamp() group by holder`,
          ),
        (held) => held.map(({ units }) => units).join() === `${shards},${shards}`,
      );
      await fleet.load();
      const [delivery] = await eventually(
        async () => fleet.deliveries,
        ({ length }) => length > 0,
      );
      const killed = replicas[delivery?.replica === 0 ? 0 : 1];
      const other = replicas[killed === replicas[0] ? 1 : 0];
      await fleet.delivered(killed, process.hrtime.bigint());
      await killed.kill();
      const at = process.hrtime.bigint();
      // Everything is the other's now.
      await eventually(
        () =>
          fleet.fixture.rows(
            `select from event_runtime.relay_lease
              where sink not like '@%' and expires_at > clock_timestamp() having count(*) = $1 and count(distinct holder) = 1`,
            [2 * shards],
          ),
        (rows) => rows.length === 1,
      );
      await fleet.delivered(other, at);
      const { consumer, webhooks } = await fleet.verdicts();
      expect(consumer).toMatchObject(faultless);
      expect(webhooks).toMatchObject({ ...faultless, duplicates: 0 });
      // It needs no replication.
      const slots = 'select from pg_replication_slots where database = current_database()';
      expect(await fleet.fixture.rows(slots)).toEqual([]);
    },
  );

  test('a process that also delivers webhooks still feeds all of its sinks', async () => {
    await using fixture = await RelayFixture.create(inject('postgres')[major]);
    const sinks = [new Consumer('one'), new Consumer('two'), new Consumer('three')];
    const relay = fixture.relay(
      sinks.map(({ source }) => source),
      { source: 'table', pollMs: 20 },
    );
    await using deliveries = new Leased({
      name: '#webhooks',
      connectionString: fixture.database.url,
      relay: fixture.slot,
      create: () => new Idle('idle'),
    });
    await Promise.all([relay.start(), deliveries.start()]);
    // Both have seen each other.
    await eventually(
      () => fixture.rows(`select from event_runtime.relay_lease where sink like '@%'`),
      ({ length }) => length === 2,
    );
    await fixture.rows('select pg_sleep(1.2)');
    await fixture.emit();
    await Promise.all(sinks.map(async (sink) => await sink.has(1)));
    expect(relay.activity.leases.map(({ held }) => held)).toEqual([true, true, true]);
  });

  test('a sink that is behind does not wait: neither between ticks nor after a large batch', async () => {
    await using fixture = await RelayFixture.create(inject('postgres')[major]);
    for (let index = 0; index < 4; index += 1) {
      await fixture.emit();
      await fixture.rows('select event_runtime.tick()');
      // Further than a batch goes.
      await fixture.rows(
        `select setval(s, nextval(s) + 20000) from pg_get_serial_sequence('event_runtime.outbox', 'seq') s`,
      );
    }
    await fixture.rows(
      `select event_runtime.emit('large', '{}', 'acme', 'entity') from generate_series(1, 1000)`,
    );
    const consumer = new Consumer();
    let late: Promise<unknown> | undefined;
    consumer.gate = async ({ event }) => {
      // Committed when the large batch has an end: nothing but another look finds it.
      if (event.eventType === 'large') await (late ??= fixture.emit({ eventType: 'late' }));
    };
    // Nor does a tick wake it.
    const hour = 3_600_000;
    await fixture.relay([consumer.source], { source: 'table', pollMs: hour, checkpointMs: hour }).start();
    await consumer.has(1_005);
    expect(consumer.types.slice(0, 5)).toEqual([...Array<string>(4).fill('thing.happened'), 'large']);
    expect(consumer.types.slice(1_003)).toEqual(['large', 'late']);
  });
});
