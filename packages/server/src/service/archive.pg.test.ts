import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createMigratedDatabase } from '@event-runtime/runtime/testing';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { eventually } from '../eventually.suite.ts';
import { Program } from '../program.suite.ts';

const packageFolder = fileURLToPath(new URL('../..', import.meta.url));

/** As the documentation has it; the file `full` makes it fail. */
const configuration = `
import { appendFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { defineConfig } from 'event-runtime';

export default defineConfig({
  databaseUrl: 'env:MY_URL',
  roles: ['relay'],
  sinks: [{ type: 'null', name: 'nothing' }],
  relay: { source: 'table' },
  http: { port: 0 },
  retention: {
    archive: async (partition, events) => {
      if (existsSync('full')) throw new Error('the bucket is full');
      for await (const { event } of events) {
        await appendFile('archived', partition.name + ' ' + event.payload.toString('utf8') + '\\n');
      }
    },
  },
});
`;

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'event-runtime-archive-'));
  await mkdir(join(directory, 'node_modules'));
  await symlink(packageFolder, join(directory, 'node_modules/event-runtime'));
  await writeFile(join(directory, 'package.json'), '{"type": "module"}');
  await writeFile(join(directory, 'event-runtime.config.ts'), configuration);
});
afterAll(async () => await rm(directory, { recursive: true }));

/** Past `retention.maxDays`, so that nothing but the archive holds it. @returns the partition's name */
async function expiredPartition(sql: pg.Client): Promise<string> {
  const { rows } = await sql.query<{ day: Date }>(
    `select date_trunc('day', now(), 'UTC') - interval '100 days' as day`,
  );
  const day = rows[0]?.day ?? new Date();
  await sql.query('set role event_runtime_owner');
  await sql.query('drop table event_runtime.outbox_underflow');
  await sql.query(
    `select event_runtime.partition_create('outbox', b.lower, b.upper)
       from (values ('-infinity'::timestamptz, $1::timestamptz),
                    ($1, $1 + interval '1 day'),
                    ($1 + interval '1 day', date_trunc('day', now(), 'UTC'))) as b(lower, upper)`,
    [day],
  );
  await sql.query('reset role');
  await sql.query(
    `insert into event_runtime.outbox (event_id, tenant_id, event_type, payload, recorded_at)
     select gen_random_uuid(), 'acme', 'old', ('{"n":  ' || n || '.0}')::json, $1::timestamptz + interval '12 hours'
       from generate_series(1, 3) n`,
    [day],
  );
  return `outbox_${day.toISOString().slice(0, 10).replaceAll('-', '')}`;
}

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  test('start hands an expired partition to the archive of its configuration; while that fails it stays', async () => {
    await using database = await createMigratedDatabase(inject('postgres')[major]);
    const sql = await database.connect();
    const partition = await expiredPartition(sql);
    const stays = async (): Promise<boolean> => {
      const text = 'select to_regclass($1) is not null as there';
      const { rows } = await sql.query<{ there: boolean }>(text, [`event_runtime.${partition}`]);
      return rows[0]?.there ?? false;
    };
    await writeFile(join(directory, 'full'), '');
    {
      await using failing = new Program(['start'], { env: { MY_URL: database.url }, cwd: directory });
      expect(await failing.logs('retention.archive.failed')).toMatchObject({
        level: 'warn',
        partition,
        error: { message: 'the bucket is full' },
      });
      // The round is over when its connection has ended: what it was to drop is dropped by then.
      await eventually(
        async () =>
          await sql.query(`select from pg_stat_activity
          where datname = current_database() and application_name = 'event-runtime retention'`),
        ({ rows }) => rows.length === 0,
      );
      failing.kill('SIGTERM');
      expect(await failing.exit()).toBe(0);
      expect(failing.logged('retention.dropped')).toEqual([]);
    }
    expect(await stays()).toBe(true);
    await rm(join(directory, 'full'));
    await using service = new Program(['start'], { env: { MY_URL: database.url }, cwd: directory });
    await service.logs('retention.archived');
    expect(await eventually(stays, (there) => !there)).toBe(false);
    const lines = [1, 2, 3].map((n) => `${partition} {"n":  ${n}.0}\n`);
    expect(await readFile(join(directory, 'archived'), 'utf8')).toBe(lines.join(''));
    await rm(join(directory, 'archived'));
    service.kill('SIGTERM');
    expect(await service.exit()).toBe(0);
  });
});
