import { describe, expect, test } from 'vitest';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { EmbeddedPostgres } from '../testing/embedded-postgres.ts';
import { createLedger } from './ledger.suite.ts';
import { Consumer, RelayFixture } from './relay-fixture.suite.ts';
import { writeMany } from './stuck-sink.suite.ts';

const packages = { '15': 'embedded-postgres-15', '18': 'embedded-postgres' } as const;

describe.each(['15', '18'] as const)('an idle session, PostgreSQL %s', (major) => {
  test('nothing moved, nothing written but the lease', async () => {
    // A server of its own: the WAL of other databases moves the checkpoints too.
    await using server = await EmbeddedPostgres.start({
      package: packages[major],
      settings: { fsync: 'off', max_slot_wal_keep_size: '1GB' },
    });
    await using fixture = await RelayFixture.create(server.url);
    await createLedger(fixture.sql);
    const consumer = new Consumer();
    const relay = fixture.relay([consumer.source, fixture.webhooks], { leaseMs: 400 });
    await relay.start();
    await fixture.live(relay);
    await writeMany(fixture.sql, { events: 5 });
    await consumer.has(5);
    const renewals = async (count: number): Promise<void> => {
      const expiry = `select expires_at::text as at from event_runtime.relay_lease where sink = '*'`;
      for (let seen = 0; seen < count; seen += 1) {
        const [before] = await fixture.rows<{ at: string }>(expiry);
        await eventually(
          () => fixture.rows<{ at: string }>(expiry),
          ([now]) => now?.at !== before?.at,
        );
      }
    };
    const state = async (): Promise<string> =>
      JSON.stringify(
        await fixture.rows(
          `select c.sink, c.xmin::text, (select count(*) from event_runtime.tick) as ticks
             from event_runtime.relay_checkpoint c order by c.sink`,
        ),
      );
    // What was delivered is stored, and seen by a tick; then it is still.
    let last = '';
    for (let still = 0; still < 2; ) {
      await renewals(2);
      const now = await state();
      still = now === last ? still + 1 : 0;
      last = now;
    }
    expect(relay.status.map(({ mode }) => mode)).toEqual(['live', 'live']);
    // Every change of this database, by a slot of our own.
    await fixture.rows('create publication everything for all tables');
    const slot = `watch_${fixture.database.name}`;
    await fixture.rows(`select pg_create_logical_replication_slot('${slot}', 'pgoutput')`);
    await renewals(15);
    const changes = await fixture.rows<{ data: Buffer }>(
      `select data from pg_logical_slot_get_binary_changes('${slot}', null, null,
         'proto_version', '1', 'publication_names', 'everything')`,
    );
    const kinds = changes.map(({ data }) => String.fromCharCode(data[0] ?? 0));
    // Relation: kind, oid, schema, name.
    const tables = changes
      .filter((_, at) => kinds[at] === 'R')
      .map(({ data }) => data.subarray(5).toString('latin1').split('\0')[1]);
    expect(tables).toEqual(['relay_lease']);
    expect(kinds.filter((kind) => kind === 'U').length).toBeGreaterThanOrEqual(15);
    expect(kinds.filter((kind) => kind === 'I' || kind === 'D')).toEqual([]);
    expect(await state()).toBe(last);
  });
});
