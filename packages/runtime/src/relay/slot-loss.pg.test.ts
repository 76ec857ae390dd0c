import { afterEach, describe, expect, inject, test } from 'vitest';
import { describeSlot } from '../replication/slot.ts';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { EmbeddedPostgres } from '../testing/embedded-postgres.ts';
import { faultless, write } from './ledger.suite.ts';
import { ReplicaFleet, type ReplicaProcess } from './replica-fleet.suite.ts';

const packages = { '15': 'embedded-postgres-15', '18': 'embedded-postgres' } as const;
const isLost = (line: Readonly<Record<string, unknown>>): boolean => line['event'] === 'relay.slot.lost';
const isJoined = (line: Readonly<Record<string, unknown>>): boolean => line['event'] === 'relay.sink.joined';

/** Which sinks have joined since the slot was lost for the nth time; 0: from the beginning. None: it was not, yet. */
function joinedAfter(relay: ReplicaProcess, losses: number): readonly unknown[] {
  let left = losses;
  const from = losses === 0 ? 0 : relay.logs.findIndex((line) => isLost(line) && (left -= 1) === 0);
  return from < 0
    ? []
    : [
        ...new Set(
          relay.logs
            .slice(from)
            .filter(isJoined)
            .map((line) => line['sink']),
        ),
      ];
}

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  const stack: AsyncDisposable[] = [];
  afterEach(async () => {
    for (const each of stack.splice(0).toReversed()) await each[Symbol.asyncDispose]();
  });

  async function fleetOn(url: string): Promise<ReplicaFleet> {
    const fleet = await ReplicaFleet.create(url);
    stack.push(fleet);
    return fleet;
  }

  async function nothingLost(fleet: ReplicaFleet): Promise<{ readonly deliveredAgain: number }> {
    const { consumer, webhooks } = await fleet.verdicts();
    expect(consumer).toMatchObject(faultless);
    expect(webhooks).toMatchObject({ ...faultless, duplicates: 0 });
    return { deliveredAgain: consumer.duplicates };
  }

  test('the slot is dropped under load, again and again: it is said, the table serves within 5 s, a new one is made, nothing lost, order kept', async () => {
    const fleet = await fleetOn(inject('postgres')[major]);
    const { fixture } = fleet;
    const relay = await fleet.start();
    await fleet.load();
    const takeoversMs: number[] = [];
    for (let drops = 1; drops <= 3; drops += 1) {
      await eventually(
        async () => joinedAfter(relay, drops - 1),
        (sinks) => sinks.length === 2,
      );
      // Whoever drops it must be faster than the relay, which comes back at once.
      await fixture.rows(
        `do $$
         begin
           loop
             begin
               perform pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '${fixture.slot}';
               perform pg_drop_replication_slot('${fixture.slot}');
               exit;
             exception when object_in_use then
               perform pg_sleep(0.001);
             end;
           end loop;
         end $$`,
      );
      const droppedAt = process.hrtime.bigint();
      const [committed] = await write(fixture.sql);
      const next = await eventually(
        async () => fleet.deliveries.find(({ eventId }) => eventId === committed),
        (delivery) => delivery !== undefined,
      );
      takeoversMs.push(Math.round(Number((next?.at ?? 0n) - droppedAt) / 1e6));
      // The new slot sends nothing that was committed before it was there.
      expect(next).toMatchObject({ from: 'table' });
      await eventually(
        async () => joinedAfter(relay, drops),
        (sinks) => sinks.length === 2,
      );
    }
    const dropped = { level: 'error', reason: 'it was dropped' };
    expect(relay.logs.filter(isLost)).toMatchObject([dropped, dropped, dropped]);
    expect(await describeSlot(fixture.sql, fixture.slot)).toMatchObject({ active: true });
    const { deliveredAgain } = await nothingLost(fleet);
    console.log(JSON.stringify({ major, takeoversMs, deliveredAgain }));
    expect(Math.max(...takeoversMs)).toBeLessThan(5_000);
    // The books count it: the webhooks store their checkpoint with their work, the consumer once in a while.
    expect(deliveredAgain).toBeGreaterThan(0);
  });

  test('the slot is invalidated by max_slot_wal_keep_size while the relay is stopped: nothing lost, order kept', async () => {
    const server = await EmbeddedPostgres.start({
      package: packages[major],
      settings: { max_slot_wal_keep_size: '16MB', max_wal_size: '64MB', min_wal_size: '32MB', fsync: 'off' },
    });
    stack.push(server);
    const fleet = await fleetOn(server.url);
    const { fixture } = fleet;
    const before = await fleet.start();
    await fleet.logged(before, isJoined);
    await fleet.load();
    await fleet.delivered(before);
    await before.kill();
    // The writers write on.
    await eventually(
      async () => {
        await fixture.rows(
          "select pg_logical_emit_message(false, 'filler', repeat('x', 1000000)) from generate_series(1, 20)",
        );
        await fixture.rows('select pg_switch_wal()');
        await fixture.rows('checkpoint');
        return await describeSlot(fixture.sql, fixture.slot);
      },
      (slot) => slot?.walStatus === 'lost',
    );
    const after = await fleet.start();
    await fleet.logged(after, isLost);
    await fleet.delivered(after);
    await fleet.logged(after, isJoined);
    expect(await describeSlot(fixture.sql, fixture.slot)).toMatchObject({ active: true });
    await nothingLost(fleet);
  });
});
