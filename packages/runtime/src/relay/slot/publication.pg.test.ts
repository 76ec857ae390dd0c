import { afterEach, describe, expect, inject, test } from 'vitest';
import { eventually } from '../../replication/stream-fixture.suite.ts';
import { faultless } from '../ledger.suite.ts';
import { ReplicaFleet, type ReplicaProcess } from '../replica-fleet.suite.ts';
import { describePublication } from './publication.ts';

const create = `create publication event_runtime for table event_runtime.outbox
  with (publish = 'insert', publish_via_partition_root = true)`;

/** What makes a publication useless for a while, and what mends it. */
const changes = [
  ['dropped and made again', 'drop publication event_runtime', create],
  [
    'without inserts',
    "alter publication event_runtime set (publish = 'update')",
    "alter publication event_runtime set (publish = 'insert')",
  ],
  [
    'without the outbox',
    'alter publication event_runtime drop table event_runtime.outbox',
    'alter publication event_runtime add table event_runtime.outbox',
  ],
  [
    'with a filter',
    "alter publication event_runtime set table event_runtime.outbox where (tenant_id = 'nobody')",
    'alter publication event_runtime set table event_runtime.outbox',
  ],
] as const;

/** Nothing lost, invented or reordered, and each webhook made once. */
const clean = { consumer: faultless, webhooks: { ...faultless, duplicates: 0 } };

/** How many sinks have joined the window so far. */
const joins = (relay: ReplicaProcess): number =>
  relay.logs.filter((line) => line['event'] === 'relay.sink.joined').length;

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  const stack: AsyncDisposable[] = [];
  afterEach(async () => {
    for (const each of stack.splice(0).toReversed()) await each[Symbol.asyncDispose]();
  });

  async function loadedFleet(): Promise<{ readonly fleet: ReplicaFleet; readonly relay: ReplicaProcess }> {
    const fleet = await ReplicaFleet.create(inject('postgres')[major]);
    stack.push(fleet);
    const relay = await fleet.start();
    await fleet.load();
    await live(relay, 2);
    return { fleet, relay };
  }

  async function live(relay: ReplicaProcess, times: number): Promise<void> {
    await eventually(
      async () => joins(relay),
      (count) => count >= times,
    );
  }

  /** The database as it is left alone with a publication for a while; events are written all the time. */
  async function forAWhile(fleet: ReplicaFleet, [broken, mended]: readonly [string, string]): Promise<void> {
    await fleet.fixture.rows(broken);
    await fleet.fixture.rows('select pg_sleep(0.5)');
    await fleet.fixture.rows(mended);
  }

  // The older server ends its stream, whatever it was.
  test.each(major === '15' ? changes.slice(0, 2) : changes)(
    '%s under load: nothing lost, order kept, and both sinks are live again',
    async (...args) => {
      const [, broken, mended] = args;
      const { fleet, relay } = await loadedFleet();
      await forAWhile(fleet, [broken, mended]);
      await live(relay, 4);
      expect(await fleet.verdicts()).toMatchObject(clean);
    },
  );

  test('changed while no relay runs: nothing lost, order kept', async () => {
    const { fleet, relay } = await loadedFleet();
    await fleet.delivered(relay);
    await relay.kill();
    await forAWhile(fleet, [changes[0][1], changes[0][2]]);
    const after = await fleet.start();
    await live(after, 2);
    expect(await fleet.verdicts()).toMatchObject(clean);
  });

  test('while it cannot be used, that is said, and the table serves', async () => {
    const { fleet, relay } = await loadedFleet();
    await fleet.fixture.rows(changes[1][1]);
    await fleet.logged(relay, (line) => line['event'] === 'relay.publication.unusable');
    await fleet.delivered(relay);
    await fleet.fixture.rows(changes[1][2]);
    await live(relay, 4);
    expect(await fleet.verdicts()).toMatchObject(clean);
  });

  test('who changed it last is known, also in a savepoint; and what is wrong with it', async () => {
    const fleet = await ReplicaFleet.create(inject('postgres')[major]);
    stack.push(fleet);
    const { fixture } = fleet;
    const now = async () => await describePublication(fixture.sql, 'event_runtime');
    const before = await now();
    expect(before).toMatchObject({ problems: [], others: [] });
    const { rows } = await fixture.sql.query<{ xid: string }>('select pg_current_xact_id()::text as xid');
    const xid = BigInt(rows[0]?.xid ?? 0);
    expect(before?.changedBy).toBeLessThan(xid);
    await fixture.rows(
      `do $$ begin begin ${changes[2][1]}; exception when sqlstate 'XX001' then null; end; end $$`,
    );
    expect((await now())?.problems).toEqual(['event_runtime.outbox is not in it']);
    await fixture.rows(changes[2][2]);
    const after = await now();
    expect(after?.problems).toEqual([]);
    expect(after?.changedBy).toBeGreaterThan(xid);
    expect(await describePublication(fixture.sql, 'none')).toBeUndefined();
  });
});
