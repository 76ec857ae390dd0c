import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { ReplicationConnection } from '../replication/replication-connection.ts';
import { migrate } from '../schema/migrator.ts';
import { PartitionUpkeep } from '../schema/partition-upkeep.ts';
import { PgBouncer } from '../testing/pgbouncer.ts';
import { Leased } from './lease/leased.ts';
import { Relay } from './relay.ts';
import { RelayFixture } from './relay-fixture.suite.ts';

const program = inject('pgbouncer') ?? '';

/** It names the setting. */
const refused = {
  code: 'ER1004',
  retryable: false,
  message: expect.stringContaining('DATABASE_URL') as string,
};

describe.skipIf(program === '').each(['15', '18'] as const)(
  'PostgreSQL %s behind PgBouncer in transaction mode [needs pgbouncer]',
  (major) => {
    let fixture: RelayFixture;
    let pooler: PgBouncer;
    let connectionString: string;
    beforeEach(async () => {
      fixture = await RelayFixture.create(inject('postgres')[major]);
      const servers = [fixture.url, fixture.database.url] as const;
      pooler = await PgBouncer.start({ program, servers });
      connectionString = pooler.url(fixture.url);
    });
    afterEach(async () => {
      await pooler[Symbol.asyncDispose]();
      await fixture[Symbol.asyncDispose]();
    });

    test.each(['wal', 'table'] as const)('a relay with source %s: ER1004, and no slot', async (source) => {
      const relay = fixture.relay([], { connectionString, source });
      await expect(relay.start()).rejects.toMatchObject(refused);
      expect(
        await fixture.rows('select slot_name from pg_replication_slots where slot_name = $1', [fixture.slot]),
      ).toEqual([]);
    });

    test('one in session mode that lets settings pass is noticed by its process ids', async () => {
      await using lenient = await PgBouncer.start({
        program,
        servers: [fixture.url],
        poolMode: 'session',
        settings: { ignore_startup_parameters: 'options' },
      });
      const relay = new Relay({ connectionString: lenient.url(fixture.url), source: 'table', sinks: [] });
      await expect(relay.start()).rejects.toMatchObject(refused);
    });

    test('replication, by itself: ER1004', async () => {
      await expect(ReplicationConnection.open({ connectionString })).rejects.toMatchObject(refused);
    });

    test('migrate: ER1004', async () => {
      const options = { connectionString: pooler.url(fixture.database.url) };
      await expect(migrate(options)).rejects.toMatchObject(refused);
    });

    test('upkeep ends with ER1004', async () => {
      const upkeep = new PartitionUpkeep({ connectionString: pooler.url(fixture.database.url) });
      await upkeep.start();
      await expect(upkeep.finished).rejects.toMatchObject(refused);
    });

    test('what runs under a lease: ER1004', async () => {
      const leased = new Leased({
        name: '#part',
        connectionString,
        create: () => new PartitionUpkeep({ connectionString }),
      });
      await expect(leased.start()).rejects.toMatchObject(refused);
    });
  },
);
