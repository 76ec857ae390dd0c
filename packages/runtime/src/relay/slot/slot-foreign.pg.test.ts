import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { describeSlot } from '../../replication/slot.ts';
import { Consumer, RelayFixture } from '../relay-fixture.suite.ts';

/** The slot has our name, and is not one that the relay can read. */
describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let fixture: RelayFixture;
  let consumer: Consumer;
  beforeEach(async () => {
    fixture = await RelayFixture.create(inject('postgres')[major]);
    consumer = new Consumer();
  });
  afterEach(async () => {
    await fixture[Symbol.asyncDispose]();
  });

  const others = "select pg_create_logical_replication_slot($1, 'test_decoding')";
  const physical = 'select pg_create_physical_replication_slot($1)';
  const drop = 'select pg_drop_replication_slot($1)';

  test.each([
    ['of another plugin', others, /is for the plugin test_decoding, not pgoutput/],
    ['physical', physical, /is physical/],
  ])('%s: a start is refused with ER1213, and the slot is left alone', async (...args) => {
    const [, create, detail] = args;
    await fixture.rows(create, [fixture.slot]);
    const before = await describeSlot(fixture.sql, fixture.slot);
    await expect(fixture.relay([consumer.source]).start()).rejects.toMatchObject({
      code: 'ER1213',
      retryable: false,
      message: expect.stringMatching(detail),
    });
    expect(fixture.logs.filter(({ event }) => event === 'relay.reconnecting')).toEqual([]);
    expect(await describeSlot(fixture.sql, fixture.slot)).toMatchObject({ plugin: before?.plugin });
    await fixture.rows(drop, [fixture.slot]);
  });

  test('a relay that runs says so, feeds from the table, and goes on when the name is free', async () => {
    const relay = fixture.relay([consumer.source]);
    await relay.start();
    await fixture.live(relay);
    await fixture.seizeSlot(`perform pg_create_physical_replication_slot('${fixture.slot}');`);
    expect(await fixture.logged('relay.slot.foreign')).toMatchObject({
      level: 'error',
      error: { code: 'ER1213' },
    });
    expect(relay.activity.trouble).toMatchObject({ code: 'ER1213' });
    await fixture.emit();
    await consumer.has(1);
    expect(relay.state).toBe('running');
    expect(relay.status).toMatchObject([{ mode: expect.not.stringMatching('live') }]);
    await fixture.rows(drop, [fixture.slot]);
    await fixture.live(relay);
    expect(relay.activity.trouble).toBeNull();
    await fixture.emit();
    await consumer.has(2);
  });
});
