import { randomBytes } from 'node:crypto';
import { FaultProxy } from '@event-runtime/simulators';
import pg from 'pg';
import { expect, inject, test } from 'vitest';
import { eventually } from '../../replication/stream-fixture.suite.ts';
import { watchServer } from './server-watch.ts';

test('another server in the place of one that says nothing any more is noticed, once; the same one is not', async () => {
  const [old, other] = [new URL(inject('postgres')['15']), new URL(inject('postgres')['18'])];
  await using first = await FaultProxy.start({ target: old });
  await using address = await FaultProxy.start({ target: { host: '127.0.0.1', port: first.port } });
  const role = `watcher_${randomBytes(4).toString('hex')}`;
  await using roles = new AsyncDisposableStack();
  for (const server of [old, other]) {
    const admin = new pg.Client({ connectionString: server.href });
    await admin.connect();
    await admin.query(`create role ${role} login password 'secret'`);
    roles.defer(async () => {
      await admin.query(`drop role ${role}`);
      await admin.end();
    });
  }
  const url = new URL(address.url(other.href));
  [url.username, url.password] = [role, 'secret'];
  const pool = new pg.Pool({ connectionString: url.href, max: 3, connectionTimeoutMillis: 1_000 });
  pool.on('error', () => undefined);
  let [changes, looks] = [0, 0];
  pool.on('acquire', () => {
    looks += 1;
  });
  const watch = watchServer({
    pool,
    everyMs: 20,
    onChange: () => {
      changes += 1;
    },
  });
  const looked = async (): Promise<void> => {
    const wanted = looks + 5;
    await eventually(
      async () => looks,
      (count) => count >= wanted,
    );
  };
  await looked();
  // Connections that break, to the same server.
  address.cut();
  await looked();
  expect(changes).toBe(0);
  first.swallow();
  address.retarget(other);
  await eventually(
    async () => changes,
    (count) => count === 1,
  );
  await looked();
  expect(changes).toBe(1);
  await watch[Symbol.asyncDispose]();
  const last = looks;
  await pool.end();
  expect(looks).toBe(last);
});
