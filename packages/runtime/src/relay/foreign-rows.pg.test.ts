import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { createMigratedDatabase } from '../testing/migrated-database.ts';
import { createTestDatabase } from '../testing/test-database.ts';
import { describeForeignRows } from './foreign-rows.ts';
import { Consumer, RelayFixture } from './relay-fixture.suite.ts';

const program = inject('pgDump') ?? '';

test.skipIf(program === '')(
  'a logical upgrade from 15 to 18: refused while the subscription is enabled, then complete [needs pg_dump]',
  async () => {
    await using old = await RelayFixture.create(inject('postgres')['15']);
    // So that the roles are there.
    await using migrated = await createMigratedDatabase(inject('postgres')['18']);
    void migrated;
    await using target = await createTestDatabase(inject('postgres')['18']);
    await using stack = new AsyncDisposableStack();
    const admin = new pg.Client({ connectionString: target.url });
    await admin.connect();
    stack.defer(async () => await admin.end());
    const { username, password } = new URL(old.url);
    await admin.query(
      `create role ${username} login replication password '${password}' in role event_runtime_service`,
    );
    stack.defer(async () => void (await admin.query(`drop role ${username}`)));
    const consumer = new Consumer();
    const emitted: string[] = [];
    const emit = async (times: number, client?: pg.Client): Promise<void> => {
      for (let at = 0; at < times; at += 1) emitted.push(await old.emit({ entityKey: `e${at % 3}` }, client));
    };
    const before = old.relay([consumer.source]);
    await before.start();
    await emit(30);
    await consumer.has(30);

    // As docs/operations/restore.md has it.
    const schema = await promisify(execFile)(program, [
      '--schema-only',
      '--no-publications',
      old.database.url,
    ]);
    const psql = join(dirname(program), 'psql');
    const loading = promisify(execFile)(psql, ['--quiet', '--set=ON_ERROR_STOP=1', target.url]);
    loading.child.stdin?.end(schema.stdout);
    await loading;
    await old.rows('create publication upgrade for all tables with (publish_via_partition_root = true)');
    await admin.query(
      `create subscription upgrade connection '${old.database.url}' publication upgrade
         with (run_as_owner = true, slot_name = 'upgrade_${old.database.name}')`,
    );
    const dropSubscription = async (): Promise<void> =>
      void (await admin.query('drop subscription if exists upgrade'));
    stack.defer(dropSubscription);
    await emit(20);
    const copied = async (): Promise<void> => {
      await eventually(
        async () =>
          (
            await admin.query<{ open: number; rows: number }>(
              `select (select count(*)::int from pg_subscription_rel where srsubstate <> 'r') as open,
                      (select count(*)::int from event_runtime.outbox) as rows`,
            )
          ).rows[0],
        (now) => now?.open === 0 && now.rows === emitted.length,
      );
    };
    await copied();
    expect(await describeForeignRows(admin)).toMatchObject({ subscriptions: ['upgrade'] });
    const connectionString = target.urlFor(username, password);
    const after = (): ReturnType<typeof old.relay> => old.relay([consumer.source], { connectionString });
    await expect(after().start()).rejects.toMatchObject({ code: 'ER1214', retryable: false });

    await consumer.has(50);
    await before.stop();
    await emit(10);
    await copied();
    await dropSubscription();
    for (const sequence of ['outbox_seq_seq', 'relay_epoch']) {
      const [row] = await old.rows<{ at: string }>(
        `select last_value::text as at from event_runtime.${sequence}`,
      );
      await admin.query(`select setval('event_runtime.${sequence}', ${row?.at})`);
    }
    await admin.query(
      "create publication event_runtime for table event_runtime.outbox with (publish = 'insert', publish_via_partition_root)",
    );
    const relay = after();
    await relay.start();
    await emit(10, admin);
    await consumer.has(70);
    await relay.stop();
    const seen = consumer.events.map(({ event }) => event.eventId);
    expect(new Set(seen)).toEqual(new Set(emitted));
    // Nothing that was delivered and stored comes again: each entity's events stand in their order.
    expect(seen.slice(0, 50)).toEqual(emitted.slice(0, 50));
    console.log(
      JSON.stringify({ way: 'subscription', emitted: emitted.length, again: seen.length - emitted.length }),
    );
  },
);

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  test('rows of transactions yet to come are refused, until they are adopted', async () => {
    await using fixture = await RelayFixture.create(inject('postgres')[major]);
    const consumer = new Consumer();
    const ids = [await fixture.emit(), await fixture.emit()];
    expect(await describeForeignRows(fixture.sql)).toEqual({ subscriptions: [], future: false });
    await fixture.rows("update event_runtime.outbox set tx_id = '4611686018427387904' where event_id = $1", [
      ids[1],
    ]);
    await expect(fixture.relay([consumer.source]).start()).rejects.toMatchObject({ code: 'ER1214' });
    // What docs/operations/restore.md says: it is another cluster's.
    await fixture.rows("update event_runtime.relay_cluster set system_identifier = 'another'");
    const relay = fixture.relay([consumer.source]);
    await relay.start();
    await consumer.has(2);
    ids.push(await fixture.emit());
    await consumer.has(3);
    expect(consumer.events.map(({ event }) => event.eventId)).toEqual(ids);
    expect(await describeForeignRows(fixture.sql)).toEqual({ subscriptions: [], future: false });
  });
});
