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
});
