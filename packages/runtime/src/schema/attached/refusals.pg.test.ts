import type { ClientBase } from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { attachTable, findAttached, planAttachment } from './attach.ts';
import { AttachedFixture } from './attached-fixture.suite.ts';
import { parseMapping } from './mapping.ts';

const pairs = ['event_type=:a', 'payload=data', 'tenant=:acme', 'event_id=id'];

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  const create = async (): Promise<AttachedFixture> => {
    const fixture = await AttachedFixture.create(inject('postgres')[major]);
    await fixture.sql.query(
      `create table queue (id uuid not null, data json, part int) partition by list (part);
       create table queue_1 (id uuid not null, data json, part int);
       create function public.theirs() returns trigger language plpgsql as 'begin return null; end'`,
    );
    return fixture;
  };
  const attachPartition = 'alter table queue attach partition queue_1 for values in (1)';
  const theirTrigger = 'create trigger event_runtime_emit after insert on queue_1 execute function theirs()';

  test('a trigger in the way: the attached table, its partition, and one that is not ours are told apart', async () => {
    await using fixture = await create();
    const { sql } = fixture;
    await fixture.attach('queue_1', pairs);
    await expect(fixture.attach('queue_1', pairs)).rejects.toMatchObject({ code: 'ER1403' });
    await sql.query(attachPartition);
    await expect(fixture.attach('queue', pairs)).rejects.toMatchObject({
      code: 'ER1401',
      message: expect.stringContaining('Its partition public.queue_1 is attached: detach that first.'),
    });
    await sql.query(`drop trigger event_runtime_emit on queue_1; ${theirTrigger}`);
    await expect(fixture.attach('queue', pairs)).rejects.toMatchObject({
      code: 'ER1401',
      message: expect.stringContaining('public.queue_1 has a trigger event_runtime_emit that is not ours'),
    });
  });

  test('what was made since the plan: the same attachment, a trigger of a partition, a function of the name', async () => {
    await using fixture = await create();
    const { sql } = fixture;
    const plan = await planAttachment(sql, { table: 'queue', mapping: parseMapping(pairs) });
    await sql.query(`create function event_runtime.${plan.functionName}() returns int return 1`);
    await expect(attachTable(sql, { plan })).rejects.toMatchObject({
      code: 'ER1401',
      message: expect.stringContaining(`event_runtime.${plan.functionName} was made meanwhile: run it again`),
    });
    await sql.query(`drop function event_runtime.${plan.functionName}; ${theirTrigger}; ${attachPartition}`);
    await expect(attachTable(sql, { plan })).rejects.toMatchObject({
      code: 'ER1401',
      message: expect.stringContaining('that is not ours'),
    });
    await sql.query('drop trigger event_runtime_emit on queue_1');
    await attachTable(sql, { plan });
    await expect(attachTable(sql, { plan })).rejects.toMatchObject({ code: 'ER1403' });
  });

  test('a connection that is lost is not a table that is not attached', async () => {
    await using fixture = await create();
    await fixture.attach('queue', pairs);
    const client = await fixture.database.connect();
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    const lossy = {
      query: async (text: string, values?: unknown[]) => {
        if (text.includes('to_regclass($1)')) {
          await fixture.sql.query('select pg_terminate_backend($1)', [rows[0]?.pid]);
        }
        return await client.query(text, values);
      },
    };
    const error: unknown = await findAttached(lossy as ClientBase, 'queue').catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toHaveProperty('code', 'ER1404');
    await expect(findAttached(fixture.sql, '"no name')).rejects.toMatchObject({ code: 'ER1404' });
  });
});
