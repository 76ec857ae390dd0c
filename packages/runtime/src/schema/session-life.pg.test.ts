import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, inject, test, vi } from 'vitest';
import { createTestDatabase } from '../testing/test-database.ts';
import { connectDirect } from './direct-connection.ts';
import { keptAlive } from './session-life.ts';

/** A machine that stands still for a few seconds is no sign of death. Milliseconds. */
const silentMs = 6_000;

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
      await using outer = await keptAlive(holder.client, silentMs);
      void outer;
      await holder.client.query('select pg_advisory_lock(1)');
      {
        await using inner = await keptAlive(holder.client, 100_000);
        void inner;
      }
      // Longer than several signs of life.
      await holder.client.query('select pg_sleep($1)', [(1.2 * silentMs) / 1_000]);
      await sleep(1.2 * silentMs);
      expect(await free()).toBe(false);
      const { rows } = await holder.client.query('show idle_session_timeout');
      expect(rows).toEqual([{ idle_session_timeout: `${silentMs / 1_000}s` }]);
      // As in a process that is stopped.
      const stopped = vi
        .spyOn(holder.client, 'query')
        .mockImplementation((() => new Promise(() => {})) as never);
      await expect.poll(free, { timeout: 60_000 }).toBe(true);
      stopped.mockRestore();
    }
    await expect(holder.client.query('select')).rejects.toThrow();
  });

  test.runIf(process.platform === 'linux')(
    'and one whose client does not read what it asked for',
    async () => {
      await using database = await createTestDatabase(inject('postgres')[major]);
      const connect = async () =>
        await connectDirect({ connectionString: database.url, applicationName: 'test' });
      await using holder = await connect();
      await using other = await connect();
      holder.client.on('error', () => undefined);
      await using alive = await keptAlive(holder.client, 1_000);
      void alive;
      await holder.client.query('select pg_advisory_lock(2)');
      // As in a process that is stopped in the middle of a large answer: the kernel's buffers are full, and stay so.
      const { stream } = (holder.client as unknown as { connection: { stream: Socket } }).connection;
      const answer = holder.client.query("select repeat('x', 1000) from generate_series(1, 100000)");
      answer.catch(() => undefined);
      stream.pause();
      const free = async (): Promise<boolean | undefined> => {
        const { rows } = await other.client.query<{ got: boolean }>('select pg_try_advisory_lock(2) as got');
        return rows[0]?.got;
      };
      expect(await free()).toBe(false);
      await expect.poll(free, { timeout: 60_000, interval: 200 }).toBe(true);
      stream.resume();
      await expect(answer).rejects.toThrow();
    },
  );

  test('what the session had before is put back', async () => {
    await using database = await createTestDatabase(inject('postgres')[major]);
    await using direct = await connectDirect({ connectionString: database.url, applicationName: 'test' });
    const { client } = direct;
    await client.query("set idle_session_timeout = '1h'; set tcp_user_timeout = '2h'");
    {
      await using alive = await keptAlive(client, 400);
      void alive;
    }
    const { rows } = await client.query(
      "select current_setting('idle_session_timeout') as idle, current_setting('tcp_user_timeout') as unread",
    );
    // The server asks the socket, which knows of no unit.
    expect(rows).toEqual([{ idle: '1h', unread: '7200000' }]);
  });
});
