import { FaultProxy } from '@event-runtime/simulators';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { saveCheckpoint } from '../log/checkpoint.ts';
import { readServerLog } from '../log/timeline.ts';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { Lateness } from '../testing/lateness.suite.ts';
import { fromNothing } from './feed/event-fixture.suite.ts';
import { type Arrival, faultless } from './ledger.suite.ts';
import { Consumer } from './relay-fixture.suite.ts';
import { ReplicaFleet, type ReplicaProcess } from './replica-fleet.suite.ts';

const millisecondsSince = (at: bigint, later: { readonly at: bigint }): number => Number(later.at - at) / 1e6;

/** With the lease of the product, 3.5 s, and under load. */
describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let fleet: ReplicaFleet;
  beforeEach(async () => {
    fleet = await ReplicaFleet.create(inject('postgres')[major]);
  });
  afterEach(async () => {
    await fleet[Symbol.asyncDispose]();
  });

  /** A leader that is feeding its sinks from the WAL, and a standby. */
  async function pair(connectionString = fleet.fixture.url): Promise<[ReplicaProcess, ReplicaProcess]> {
    const leader = await fleet.start({ connectionString });
    await fleet.logged(leader, (line) => line['event'] === 'relay.sink.joined');
    const standby = await fleet.start();
    await fleet.load();
    await fleet.delivered(leader);
    return [leader, standby];
  }

  /** @param arrivals what `consumer` was given, where that was in this process */
  async function nothingLost(what: string, arrivals?: readonly Arrival[]): Promise<void> {
    const { consumer, webhooks } = await fleet.verdicts(arrivals);
    console.log(JSON.stringify({ major, what, deliveredAgain: consumer.duplicates }));
    expect(consumer).toMatchObject(faultless);
    // Each event is fanned out once, whatever is delivered again.
    expect(webhooks).toMatchObject({ ...faultless, duplicates: 0 });
  }

  test('the leader is killed: the other delivers within 5 s; nothing lost, order kept, fanned out once', async () => {
    const [leader, standby] = await pair();
    using lateness = new Lateness();
    const at = process.hrtime.bigint();
    await leader.kill();
    expect(millisecondsSince(at, await fleet.delivered(standby))).toBeLessThan(lateness.bound(5_000));
    await nothingLost('the leader is killed');
  });

  test('the leader is stopped in the middle of a fan-out, past its lease, and continued: it becomes a standby', async () => {
    const [leader, standby] = await pair();
    // It holds the lock of a checkpoint then.
    using lateness = new Lateness();
    const at = process.hrtime.bigint();
    leader.child.kill('SIGUSR2');
    expect(millisecondsSince(at, await fleet.delivered(standby))).toBeLessThan(lateness.bound(5_000));
    leader.child.kill('SIGCONT');
    await fleet.logged(leader, (line) => line['event'] === 'relay.lease.lost');
    const lostAt = leader.told.indexOf('relay.lease.lost');
    await fleet.delivered(standby, process.hrtime.bigint());
    await standby.stop();
    const acquiredAt = await eventually(
      async () => leader.told.indexOf('relay.lease.acquired', lostAt),
      (found) => found >= 0 && leader.told.includes('delivery', found),
    );
    expect(leader.told.slice(lostAt, acquiredAt)).not.toContain('delivery');
    await nothingLost('the leader is stopped');
  });

  test('the connections of the leader say nothing any more: the other delivers within 5 s, and gets the slot', async () => {
    await using proxy = await FaultProxy.start({ target: new URL(fleet.fixture.url) });
    const [leader, standby] = await pair(proxy.url(fleet.fixture.url));
    using lateness = new Lateness();
    const at = process.hrtime.bigint();
    proxy.swallow();
    expect(millisecondsSince(at, await fleet.delivered(standby))).toBeLessThan(lateness.bound(5_000));
    await fleet.logged(standby, (line) => line['event'] === 'relay.sink.joined');
    // The reader that the leader has left behind is known to be one of ours.
    const ended = standby.logs.filter((line) => line['event'] === 'relay.slot.reader.ended');
    expect(ended.filter(({ level }) => level !== 'info')).toEqual([]);
    await fleet.logged(leader, (line) => line['event'] === 'relay.lease.lost');
    await nothingLost('the leader says nothing any more');
  });

  test('a lease that is taken from a holder who still believes in it: ER1207, and it becomes a standby', async () => {
    const { fixture } = fleet;
    const arrivals: Arrival[] = [];
    const consumers = [new Consumer('consumer'), new Consumer('consumer')] as const;
    for (const consumer of consumers) {
      consumer.gate = ({ event }) => void arrivals.push({ eventId: event.eventId, entity: event.entityKey });
    }
    const [one, two] = consumers;
    const holder = fixture.relay([one.source, fixture.webhooks]);
    await holder.start();
    await fixture.live(holder);
    const other = fixture.relay([two.source, fixture.webhooks]);
    await other.start();
    await fleet.load();
    await one.has(10);
    const lease = `select epoch::text from event_runtime.relay_lease where sink = '*'`;
    const [before] = await fixture.rows<{ epoch: string }>(lease);
    // As when the database's clock had gone on, and the other had been faster.
    await fixture.rows(
      `update event_runtime.relay_lease l set holder = o.holder
         from event_runtime.relay_lease o
        where l.sink = '*' and o.sink like '@%' and o.holder <> l.holder`,
    );
    await two.has(1);
    // Whatever the first one writes now, as long as it does not know, is turned away.
    const server = await readServerLog(fixture.pool);
    const late = saveCheckpoint(fixture.pool, {
      sink: 'consumer',
      owner: { relay: fixture.slot, shard: 0, epoch: BigInt(before?.epoch ?? 0), ...server },
      checkpoint: fromNothing,
    });
    await expect(late).rejects.toMatchObject({ code: 'ER1207' });
    await eventually(
      async () => [holder.state, holder.status.length, other.status.length],
      (seen) => seen.join() === 'running,0,2',
    );
    await two.has(two.events.length + 10);
    await nothingLost('the lease is taken', arrivals);
  });
});
