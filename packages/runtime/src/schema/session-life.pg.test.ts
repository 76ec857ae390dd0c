import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, inject, test, vi } from 'vitest';
import { createTestDatabase } from '../testing/test-database.ts';
import { connectDirect } from './direct-connection.ts';
import { keptAlive } from './session-life.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  test('the server ends a session that gives no sign of life, and none that does', async () => {
    await using database = await createTestDatabase(inject('postgres')[major]);
    const connect = async () =>
      await connectDirect({ connectionString: database.url, applicationName: 'test' });
    await using holder = await connect();
    await using other = await connect();
    const free = async (): Promise<boolean | undefined> => {
      const { rows } = await other.client.query<{ got: boolean }>('select pg_try_advisory_lock(1) as got');
      return rows[0]?.got;
    };
    await holder.client.query("set idle_session_timeout = '1h'");
    {
      await using outer = await keptAlive(holder.client, 400);
      void outer;
      await holder.client.query('select pg_advisory_lock(1)');
      {
        await using inner = await keptAlive(holder.client, 100_000);
        void inner;
      }
      // Longer than several signs of life.
      await holder.client.query('select pg_sleep(0.7)');
      await sleep(700);
      expect(await free()).toBe(false);
      const { rows } = await holder.client.query('show idle_session_timeout');
      expect(rows).toEqual([{ idle_session_timeout: '400ms' }]);
      // As in a process that is stopped.
      const stopped = vi
        .spyOn(holder.client, 'query')
        .mockImplementation((() => new Promise(() => {})) as never);
      await expect.poll(free, { timeout: 5_000 }).toBe(true);
      stopped.mockRestore();
    }
    await expect(holder.client.query('select')).rejects.toThrow();
  });

  test('what the session had before is put back', async () => {
    await using database = await createTestDatabase(inject('postgres')[major]);
    await using direct = await connectDirect({ connectionString: database.url, applicationName: 'test' });
    const { client } = direct;
    await client.query("set idle_session_timeout = '1h'");
    {
      await using alive = await keptAlive(client, 400);
      void alive;
    }
    const { rows } = await client.query('show idle_session_timeout');
    expect(rows).toEqual([{ idle_session_timeout: '1h' }]);
  });
});
