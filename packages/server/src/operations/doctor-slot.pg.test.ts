import pg from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { fewDays } from '../../../runtime/src/testing/migrated-database.ts';
import { eventually } from '../eventually.suite.ts';
import type { Check } from './check.ts';
import { found, OperationsFixture } from './operations-fixture.suite.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (version) => {
  const create = async (): Promise<OperationsFixture> =>
    await OperationsFixture.create(inject('postgres')[version], { from: fewDays });

  test('the slot is read by somebody else: who, from where, since when', async () => {
    await using fixture = await create();
    await fixture.sql.query('select pg_create_logical_replication_slot($1, $2)', [fixture.name, 'pgoutput']);
    const url = new URL(fixture.database.url);
    url.searchParams.set('application_name', 'debezium');
    url.searchParams.set('replication', 'database');
    const stranger = new pg.Client({ connectionString: url.href });
    stranger.on('error', () => undefined);
    await stranger.connect();
    fixture.defer(() => stranger.end().catch(() => undefined));
    // The answer is no row: the connection is in CopyBoth from here on.
    stranger
      .query(
        `START_REPLICATION SLOT ${fixture.name} LOGICAL 0/0 (proto_version '1', publication_names 'event_runtime')`,
      )
      .catch(() => undefined);
    const taken = await eventually(
      () => fixture.doctor(),
      (checks) => checks.some(({ code }) => code === 'ER1201'),
    );
    const check = found(taken, 'ER1201');
    expect(check).toMatchObject({
      state: 'fail',
      seen: expect.stringMatching(
        /^read by process \d+ \("debezium"\), connected since \d{4}-.*Z, from (127\.0\.0\.1|::1)$/,
      ),
    });
    expect((await fixture.run(['slot', '--json'])).json()).toMatchObject({
      condition: 'taken',
      reader: { applicationName: 'debezium' },
    });
    await fixture.sql.query(check.fix!.replace(/--.*/, ''));
    await eventually(
      () => fixture.doctor(),
      (checks) => checks.some(({ code }) => code === 'ER1304'),
    );
  });

  test('the slot holds back vacuum of the catalogues: a warning, then a failure, and neither when it moves on', async () => {
    await using fixture = await create();
    await fixture.sql.query('select pg_create_logical_replication_slot($1, $2)', [fixture.name, 'pgoutput']);
    expect(found(await fixture.doctor(), 'ER1322').state).toBe('ok');
    const limits = { catalogTransactions: 100 };
    const transactions = async (count: number): Promise<Check> => {
      await fixture.sql.query(
        `do $$ begin for i in 1..${count} loop perform pg_current_xact_id(); commit; end loop; end $$`,
      );
      return found(await fixture.doctor({ limits }), 'ER1322');
    };
    expect(await transactions(150)).toMatchObject({
      state: 'warn',
      seen: expect.stringMatching(/^rows of the last \d+ transactions are kept$/),
      fix: expect.stringContaining('open for long'),
    });
    expect((await transactions(1_000)).state).toBe('fail');
    await fixture.sql.query('select pg_drop_replication_slot($1)', [fixture.name]);
    await fixture.sql.query('select pg_create_logical_replication_slot($1, $2)', [fixture.name, 'pgoutput']);
    // Transactions of other tests on the same server count too.
    const fresh = await fixture.doctor({ limits: { catalogTransactions: 1_000 } });
    expect(found(fresh, 'ER1322').state).toBe('ok');
  });
});
