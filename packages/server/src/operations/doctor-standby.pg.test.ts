import type { Relay } from '@event-runtime/runtime';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EmbeddedPostgres } from '../../../runtime/src/testing/embedded-postgres.ts';
import { fewDays } from '../../../runtime/src/testing/migrated-database.ts';
import { ownServer } from '../../../runtime/src/testing/own-server.suite.ts';
import { eventually } from '../eventually.suite.ts';
import { found, OperationsFixture } from './operations-fixture.suite.ts';

async function delivered(relay: Relay, count: number): Promise<void> {
  await eventually(
    async () => relay.status[0]?.delivered,
    (so) => so === count,
  );
}

/** Standbys and what waits for them concern a whole server. */
describe.each([
  ['15', 'embedded-postgres-15'],
  ['18', 'embedded-postgres'],
] as const)('PostgreSQL %s', (version, binaries) => {
  let server: EmbeddedPostgres;
  beforeAll(async () => {
    server = await ownServer(binaries, { max_slot_wal_keep_size: '2GB', fsync: 'off' });
  });
  afterAll(async () => {
    await server.stop();
  });

  test('standbys that the server waits for, from 17 on: one that is away stops the relay, and is named', async () => {
    await using fixture = await OperationsFixture.create(server.url, { from: fewDays });
    const setting = async (names: string): Promise<void> => {
      await fixture.sql.query(`alter system set synchronized_standby_slots = '${names}'`);
      await fixture.sql.query('select pg_reload_conf()');
    };
    const codes = async (): Promise<string[]> => (await fixture.doctor()).map(({ code }) => code);
    if (version === '15') {
      await fixture.sql.query('select pg_create_logical_replication_slot($1, $2)', [
        fixture.name,
        'pgoutput',
      ]);
      await fixture.sql.query("select pg_create_physical_replication_slot('awaited')");
      expect(await codes()).not.toContain('ER1308');
      expect(await codes()).not.toContain('ER1321');
      await fixture.sql.query("select pg_drop_replication_slot('awaited')");
      return;
    }
    const standby = await server.standby({ slot: 'awaited' });
    fixture.defer(async () => await standby.stop());
    const relay = await fixture.relay();
    await fixture.live(relay);
    const unset = found(await fixture.doctor(), 'ER1308');
    expect(unset).toMatchObject({ state: 'warn', seen: 'empty; standbys read awaited' });
    for (const statement of unset.fix!.split(';').slice(0, 2)) await fixture.sql.query(statement);
    const waits = await eventually(
      async () => found(await fixture.doctor(), 'ER1308'),
      ({ state }) => state === 'ok',
    );
    expect(waits.seen).toBe('awaited');
    await fixture.emit();
    await delivered(relay, 1);
    await standby.stop();
    const away = await eventually(
      () => fixture.doctor(),
      (checks) => checks.some(({ code }) => code === 'ER1321'),
    );
    const check = found(away, 'ER1321');
    expect(check).toMatchObject({ state: 'fail', seen: 'awaited: no standby reads it' });
    // It is as the check says: nothing comes until the fix.
    await fixture.emit();
    await fixture.sql.query('select pg_sleep(0.5)');
    expect(relay.status).toMatchObject([{ mode: 'live', delivered: 1 }]);
    for (const statement of check.fix!.split(';').slice(0, 2)) await fixture.sql.query(statement);
    await delivered(relay, 2);
    await setting('awaited');
    await fixture.sql.query("select pg_drop_replication_slot('awaited')");
    const gone = await eventually(
      () => fixture.doctor(),
      (checks) => checks.some(({ code }) => code === 'ER1321'),
    );
    expect(found(gone, 'ER1321').seen).toBe('awaited: there is no such slot');
    await fixture.sql.query('alter system reset synchronized_standby_slots');
    await fixture.sql.query('select pg_reload_conf()');
    await relay.stop();
  });

  test('a standby without a slot, from 17 on: it cannot be waited for, and that is said', async () => {
    await using fixture = await OperationsFixture.create(server.url, { from: fewDays });
    const parts = version === '15' ? '' : ', false, false, true';
    await fixture.sql.query(`select pg_create_logical_replication_slot($1, $2${parts})`, [
      fixture.name,
      'pgoutput',
    ]);
    const codes = async (): Promise<string[]> => (await fixture.doctor()).map(({ code }) => code);
    // Also a setting of the test before must be gone.
    await eventually(codes, (each) => !each.includes('ER1308') && !each.includes('ER1321'));
    const { rows } = await fixture.sql.query<{ lsn: string }>(
      'select pg_current_wal_flush_lsn()::text as lsn',
    );
    const url = new URL(server.url);
    url.searchParams.set('application_name', 'lonely');
    url.searchParams.set('replication', 'true');
    const standby = new pg.Client({ connectionString: url.href });
    standby.on('error', () => undefined);
    await standby.connect();
    fixture.defer(() => standby.end().catch(() => undefined));
    // Never answered while it streams.
    standby.query(`START_REPLICATION PHYSICAL ${rows[0]?.lsn}`).catch(() => undefined);
    await eventually(
      () =>
        fixture.sql.query(
          "select from pg_stat_replication where application_name = 'lonely' and state <> 'startup'",
        ),
      (answer) => answer.rows.length === 1,
    );
    if (version === '15') {
      expect(await codes()).not.toContain('ER1308');
      return;
    }
    expect(found(await fixture.doctor(), 'ER1308')).toMatchObject({
      state: 'warn',
      seen: 'empty; without a slot: lonely',
      fix: expect.stringContaining('primary_slot_name'),
    });
  });
});
