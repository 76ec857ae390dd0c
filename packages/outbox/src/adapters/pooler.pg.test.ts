import pg from 'pg';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { PgBouncer } from '../../../runtime/src/testing/pgbouncer.ts';
import { pooled } from '../../test/pooled.ts';
import { createProducerDatabase, type ProducerDatabase } from '../../test/producer-database.ts';
import { defineCatalog } from '../catalog/define-catalog.ts';
import { defineEvent } from '../catalog/define-event.ts';
import { createOutbox } from '../emit/create-outbox.ts';
import { describeAdapter } from './conformance.suite.ts';
import { openDrizzle } from './drizzle-host.suite.ts';
import { openPg } from './pg-host.suite.ts';
import { prismaHost } from './prisma-host.suite.ts';

const program = inject('pgbouncer') ?? '';
const event = defineEvent('thing.done', { schema: anything() });
const outbox = createOutbox({ catalog: defineCatalog({ source: 'pooled', events: [event] }) });

function anything(): Parameters<typeof defineEvent>[1]['schema'] {
  return { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } };
}

// Fewer server connections than clients, so that a session is shared within every test.
describe.skipIf(program === '')('PgBouncer in transaction mode [needs pgbouncer]', async () => {
  describeAdapter('pg', pooled(openPg, { program, poolSize: 2 }));
  describeAdapter('Drizzle', pooled(openDrizzle, { program, poolSize: 2 }));
  describeAdapter('Prisma', pooled(await prismaHost('pooled'), { program, poolSize: 2 }));

  describe.each(['15', '18'] as const)('one server connection, PostgreSQL %s', (major) => {
    let database: ProducerDatabase;
    let pooler: PgBouncer;
    const clients: pg.Client[] = [];
    beforeEach(async () => {
      database = await createProducerDatabase(inject('postgres')[major]);
      pooler = await PgBouncer.start({ program, servers: [database.producerUrl], poolSize: 1 });
    });
    afterEach(async () => {
      await Promise.all(clients.splice(0).map((client) => client.end()));
      await pooler[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    });

    async function connect(): Promise<pg.Client> {
      const client = new pg.Client({ connectionString: pooler.url(database.producerUrl) });
      await client.connect();
      clients.push(client);
      return client;
    }

    async function emitAs(client: pg.Client, tenant: string | undefined): Promise<number> {
      await client.query('begin');
      try {
        if (tenant !== undefined) await client.query(`set local event_runtime.tenant = '${tenant}'`);
        await outbox.emit(client, event, 1, tenant === undefined ? {} : { tenant });
        const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
        await client.query('commit');
        return rows[0]?.pid ?? 0;
      } catch (error) {
        await client.query('rollback');
        throw error;
      }
    }

    test('the tenant of one client is not there for the next one on the same connection', async () => {
      const [first, second] = [await connect(), await connect()];
      const backend = await emitAs(first, 'acme');
      const { rows } = await second.query<{ pid: number; tenant: string | null }>(
        "select pg_backend_pid() as pid, nullif(current_setting('event_runtime.tenant', true), '') as tenant",
      );
      expect(rows).toEqual([{ pid: backend, tenant: null }]);
      // Were it there, that would be an emit for another tenant than the session's.
      expect(await emitAs(second, 'globex')).toBe(backend);
      await expect(emitAs(second, undefined)).rejects.toThrow();
      const stored = await database.observer.query('select tenant_id from event_runtime.outbox order by seq');
      expect(stored.rows).toEqual([{ tenant_id: 'acme' }, { tenant_id: 'globex' }]);
    });

    test('emit leaves no prepared statement behind, which the next client would trip over', async () => {
      const [first, second] = [await connect(), await connect()];
      for (const client of [first, second, first, second]) await emitAs(client, 'acme');
      await first.query('begin');
      await outbox.emitMany(
        first,
        [1, 2, 3].map((data) => ({ event, data })),
        { tenant: 'acme' },
      );
      await first.query('commit');
      const { rows } = await second.query('select name from pg_prepared_statements');
      expect(rows).toEqual([]);
    });
  });
});
