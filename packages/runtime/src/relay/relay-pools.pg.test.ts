import pg from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { RelayPools } from './relay-pools.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (version) => {
  // Should it fail, the run ends with an uncaught error.
  test.each(['work', 'leases'] as const)(
    'a connection of %s that breaks while it is lent out ends a statement, not the process',
    async (name) => {
      const connectionString = inject('postgres')[version];
      await using pools = new RelayPools({ connectionString, sinks: [] });
      const client = await pools[name].connect();
      const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
      const other = new pg.Client({ connectionString });
      await other.connect();
      // Not `once` of Node: it listens for errors itself.
      const ended = new Promise((resolve) => {
        client.once('end', resolve);
      });
      await other.query('select pg_terminate_backend($1)', [rows[0]?.pid]);
      await other.end();
      await ended;
      await expect(client.query('select 1')).rejects.toThrow();
      client.release(true);
    },
  );

  test('cut: what is under way fails at once, what comes gets another connection; leases are not concerned', async () => {
    await using pools = new RelayPools({ connectionString: inject('postgres')[version], sinks: [] });
    const [lease, idle] = [await pools.leases.connect(), await pools.work.connect()];
    idle.release();
    const underWay = [await pools.work.connect(), await pools.work.connect()];
    const failed = Promise.allSettled(
      underWay.map(async (client) => await client.query('select pg_sleep(60)')),
    );
    pools.work.cut();
    expect((await failed).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    for (const client of underWay) client.release(true);
    expect((await pools.work.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    expect((await lease.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    lease.release();
  });
});
