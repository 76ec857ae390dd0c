import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { describeSlot } from '../../replication/slot.ts';
import { relayReaderName } from '../../replication/slot-reader.ts';
import { eventually } from '../../replication/stream-fixture.suite.ts';
import { Consumer, RelayFixture } from '../relay-fixture.suite.ts';
import { Stranger } from './slot-stranger.suite.ts';

/** Somebody else reads the slot when this replica, which has the lease, is to read it. */
describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let fixture: RelayFixture;
  let consumer: Consumer;
  const stack: AsyncDisposable[] = [];
  beforeEach(async () => {
    fixture = await RelayFixture.create(inject('postgres')[major]);
    consumer = new Consumer();
    await fixture.rows("select pg_create_logical_replication_slot($1, 'pgoutput')", [fixture.slot]);
  });
  afterEach(async () => {
    await fixture.stopRelays();
    for (const each of stack.splice(0).toReversed()) await each[Symbol.asyncDispose]();
    await fixture[Symbol.asyncDispose]();
  });

  const said = (event: string): Array<Readonly<Record<string, unknown>>> =>
    fixture.logs.filter((line) => line['event'] === event);

  async function stranger(
    applicationName: string,
    options: { readonly again?: boolean; readonly connectionString?: string } = {},
  ): Promise<Stranger> {
    const { url: connectionString, slot } = fixture;
    const made = new Stranger({ connectionString, slot, applicationName, ...options });
    stack.push(made);
    await eventually(
      async () => made.reads,
      (reads) => reads > 0,
    );
    return made;
  }

  async function readerPid(): Promise<number | null | undefined> {
    return (await describeSlot(fixture.sql, fixture.slot))?.activePid;
  }

  /** Emits one event, and it is delivered. */
  async function carries(): Promise<void> {
    const before = consumer.events.length;
    await fixture.emit();
    await consumer.has(before + 1);
  }

  test('one that does not come back is named at level warn, ended, and the slot is read', async () => {
    await stranger('pg_recvlogical', { again: false });
    const pid = await readerPid();
    const relay = fixture.relay([consumer.source]);
    await relay.start();
    await fixture.live(relay);
    expect(said('relay.slot.reader.ended')).toEqual([
      expect.objectContaining({
        level: 'warn',
        pid,
        applicationName: 'pg_recvlogical',
        clientAddress: expect.stringMatching(/^(127\.0\.0\.1|::1)$/),
        since: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      }),
    ]);
    expect(said('relay.slot.contested')).toEqual([]);
    expect(relay.activity.trouble).toBeNull();
    await carries();
  });

  test('a stale one of this relay, as at a takeover, is ended at level info', async () => {
    await stranger(relayReaderName(fixture.slot), { again: false });
    const pid = await readerPid();
    const relay = fixture.relay([consumer.source]);
    await relay.start();
    await fixture.live(relay);
    expect(said('relay.slot.reader.ended')).toEqual([expect.objectContaining({ level: 'info', pid })]);
  });

  test('one that comes back again and again is left alone with ER1201, the table serves, and the slot is taken when it is free', async () => {
    const other = await stranger('debezium');
    const relay = fixture.relay([consumer.source]);
    await relay.start();
    const line = await fixture.logged('relay.slot.contested');
    const pid = await readerPid();
    expect(line).toMatchObject({
      level: 'error',
      pid,
      applicationName: 'debezium',
      error: { code: 'ER1201', message: expect.stringContaining(`process ${pid} ("debezium")`) },
    });
    expect(said('relay.slot.reader.ended').map(({ level }) => level)).toEqual(['warn', 'warn', 'warn']);
    expect(relay.activity.trouble).toMatchObject({ code: 'ER1201' });
    // As long as it takes to deliver from the table, and to look at the slot a few times.
    for (let events = 0; events < 3; events += 1) {
      await carries();
      await fixture.rows('select pg_sleep(0.3)');
    }
    expect(relay.status).toMatchObject([{ mode: expect.not.stringMatching('live') }]);
    expect(await readerPid()).toBe(pid);
    expect(other.reads).toBe(4);
    expect(said('relay.slot.contested')).toHaveLength(1);
    await other[Symbol.asyncDispose]();
    await fixture.live(relay);
    expect(relay.activity.trouble).toBeNull();
    await carries();
  });

  test('one that this role may not end is left alone at once, with ER1201', async () => {
    const other = await stranger('of a superuser', { connectionString: fixture.database.url });
    const relay = fixture.relay([consumer.source]);
    await relay.start();
    expect(await fixture.logged('relay.slot.contested')).toMatchObject({
      error: { code: 'ER1201', message: expect.stringContaining('this role may not end it') },
    });
    await carries();
    expect(said('relay.slot.reader.ended')).toEqual([]);
    expect(said('relay.reconnecting')).toEqual([]);
    expect(other.reads).toBe(1);
    await other[Symbol.asyncDispose]();
    await fixture.live(relay);
  });

  test('two relays with leases of their own and one slot: the fight ends, one reads, both deliver', async () => {
    const others = new Consumer();
    const { slot } = fixture;
    const first = fixture.relay([consumer.source]);
    await first.start();
    await fixture.live(first);
    const second = fixture.relay([others.source], { name: `other_${slot}`, slot });
    await second.start();
    await fixture.logged('relay.slot.contested');
    const reader = await eventually(readerPid, (pid) => typeof pid === 'number');
    const endings = said('relay.slot.reader.ended').length;
    expect(endings).toBeLessThanOrEqual(6);
    for (let events = 0; events < 3; events += 1) {
      await fixture.emit();
      await fixture.rows('select pg_sleep(0.3)');
    }
    await consumer.has(3);
    await others.has(3);
    expect(await readerPid()).toBe(reader);
    expect(said('relay.slot.reader.ended')).toHaveLength(endings);
    const troubles = [first, second].map(({ activity }) => activity.trouble?.code);
    expect(new Set(troubles)).toEqual(new Set(['ER1201', undefined]));
  });
});
