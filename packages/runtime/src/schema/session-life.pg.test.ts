import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, inject, test } from 'vitest';
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
    const signs = await keptAlive(holder.client, 400);
    await holder.client.query('select pg_advisory_lock(1)');
    await sleep(1_200);
    expect(await free()).toBe(false);
    // As in a process that is stopped.
    signs[Symbol.dispose]();
    await expect.poll(free, { timeout: 5_000 }).toBe(true);
    await expect(holder.client.query('select')).rejects.toThrow();
  });
});
