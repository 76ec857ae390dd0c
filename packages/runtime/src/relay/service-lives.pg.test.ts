import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { Supervisor } from '../lifecycle/supervisor.ts';
import { describeSlot } from '../replication/slot.ts';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { PartitionUpkeep } from '../schema/partition-upkeep.ts';
import { stressService } from '../testing/service-stress.ts';
import { Consumer, RelayFixture } from './relay-fixture.suite.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let fixture: RelayFixture;
  beforeEach(async () => {
    fixture = await RelayFixture.create(inject('postgres')[major]);
  });
  afterEach(async () => {
    await fixture[Symbol.asyncDispose]();
  });

  /** What a service left behind; the server may take a moment to notice that a connection is gone. */
  async function leaked(): Promise<string | undefined> {
    for (let attempt = 0; ; attempt += 1) {
      const rows = await fixture.rows<{ name: string; state: string; query: string }>(
        `select application_name as name, state, left(query, 80) as query from pg_stat_activity
         where datname = current_database() and application_name like 'event-runtime%'`,
      );
      const slot = await describeSlot(fixture.sql, fixture.slot);
      if (rows.length === 0 && slot?.active !== true) return undefined;
      if (attempt === 100) return JSON.stringify({ rows, active: slot?.active });
      await fixture.rows('select pg_sleep(0.02)');
    }
  }

  const consumer = new Consumer();
  const relay = () => fixture.relay([consumer.source, fixture.webhooks]);
  const upkeep = () => new PartitionUpkeep({ connectionString: fixture.database.url, intervalMs: 1 });

  test('Relay: any order of start and stop leaves no connection, and the slot free', async () => {
    await fixture.emit();
    await stressService(relay, { rounds: 25, leaked });
    // It can still do its work.
    const last = relay();
    await last.start();
    const id = await fixture.emit();
    // The one of before may have come already, or come now.
    const came = await eventually(
      async () => consumer.events.some(({ event }) => event.eventId === id),
      (it) => it,
    );
    await last.stop();
    expect(came).toBe(true);
    expect(await leaked()).toBeUndefined();
  });

  test('PartitionUpkeep: any order of start and stop leaves no connection, and time covered', async () => {
    await stressService(upkeep, { rounds: 25, leaked });
    expect(await fixture.emit()).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('Supervisor of both: the same', async () => {
    const passed = stressService(() => new Supervisor([upkeep(), relay()]), { rounds: 12, leaked });
    await expect(passed).resolves.toBeUndefined();
  });
});
