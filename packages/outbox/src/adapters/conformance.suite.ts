import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { createProducerDatabase, type ProducerDatabase } from '../../test/producer-database.ts';
import { defineCatalog } from '../catalog/define-catalog.ts';
import { defineEvent } from '../catalog/define-event.ts';
import type { StandardSchema } from '../catalog/standard-schema.ts';
import { createOutbox, type Outbox } from '../emit/create-outbox.ts';
import { largeBatch, oddPayloads } from './conformance-payloads.suite.ts';
import type { TransactionAdapter } from './transaction-adapter.ts';

/** A database library as an application uses it, for the conformance suite. */
export interface AdapterHost<Transaction> extends AsyncDisposable {
  readonly adapter: TransactionAdapter<Transaction>;
  /** Commits when `work` resolves, rolls back and rethrows when it throws. */
  transaction<T>(
    work: (tx: Transaction) => Promise<T>,
    options?: { readonly isolation: 'repeatable read' },
  ): Promise<T>;
  /** The library's own savepoint around `work`; rolled back to, and rethrown, when it throws. */
  savepoint<T>(tx: Transaction, work: (tx: Transaction) => Promise<T>): Promise<T>;
  /** Writes a row of `business_order` by the library's own means. */
  insertOrder(tx: Transaction, id: string): Promise<void>;
  /** Objects of the library on which no transaction is open, each to be refused; by a name. */
  withoutTransaction(): Promise<ReadonlyArray<readonly [name: string, tx: Transaction]>>;
}

/** Takes anything, so that the payloads are the suite's own. */
const anything: StandardSchema = {
  '~standard': { version: 1, vendor: 'conformance', validate: (value) => ({ value }) },
};
const plain = defineEvent('conformance.plain', { schema: anything });
const keyed = defineEvent('conformance.keyed', { version: 7, schema: anything, key: String });
const catalog = defineCatalog({ source: 'conformance', events: [plain, keyed] });
type Catalog = typeof catalog;

/**
 * What every adapter must hold, against real PostgreSQL, both ends of the supported range.
 *
 * @param open connects the library with a connection string
 */
export function describeAdapter<Transaction>(
  library: string,
  open: (connectionString: string) => Promise<AdapterHost<Transaction>>,
): void {
  describe.each(['15', '18'] as const)(`${library}, PostgreSQL %s`, (major) => {
    let database: ProducerDatabase;
    let host: AdapterHost<Transaction>;
    let outbox: Outbox<Catalog, Transaction>;
    let statements = 0;

    beforeAll(async () => {
      database = await createProducerDatabase(inject('postgres')[major]);
      host = await open(database.producerUrl);
      outbox = createOutbox({ catalog, adapter: counting(host.adapter) });
    });
    afterAll(async () => {
      await host?.[Symbol.asyncDispose]();
      await database?.[Symbol.asyncDispose]();
    });

    function counting(adapter: TransactionAdapter<Transaction>): TransactionAdapter<Transaction> {
      return {
        library: adapter.library,
        execute(tx, statement) {
          statements += 1;
          return adapter.execute(tx, statement);
        },
        inTransaction: (tx) => adapter.inTransaction(tx),
      };
    }

    async function stored(tenant: string): Promise<Array<Record<string, unknown>>> {
      const result = await database.observer.query(
        `select event_id, seq::int as seq, event_type, event_version, entity_key, ecosystem, idempotency_key,
                correlation_id, causation_id, source_service, traceparent, headers::text as headers,
                payload::text as payload
           from event_runtime.outbox where tenant_id = $1 order by seq`,
        [tenant],
      );
      return result.rows;
    }
    const payloads = async (tenant: string): Promise<unknown[]> =>
      (await stored(tenant)).map((row) => row['payload']);
    const boom = new Error('the application changed its mind');

    test('commit: the event is written by the very transaction of the business row', async () => {
      const result = await host.transaction(async (tx) => {
        await host.insertOrder(tx, 'committed');
        return await outbox.emit(tx, plain, 'committed', { tenant: 'commit' });
      });
      expect(result).toEqual({ eventId: expect.stringMatching(/^[0-9a-f-]{36}$/), duplicate: false });
      const { rows } = await database.observer.query(
        `select o.event_id, o.xmin::text = b.xmin::text as same_xmin,
                o.tx_id::text::numeric % 4294967296 = b.xmin::text::numeric as same_tx_id
           from event_runtime.outbox o, business_order b where o.tenant_id = 'commit' and b.id = 'committed'`,
      );
      expect(rows).toEqual([{ event_id: result.eventId, same_xmin: true, same_tx_id: true }]);
    });

    test('rollback: neither the business row nor the event', async () => {
      const work = host.transaction(async (tx) => {
        await host.insertOrder(tx, 'rolled back');
        await outbox.emit(tx, plain, 'rolled back', { tenant: 'rollback' });
        await outbox.emitMany(tx, [{ event: plain, data: 1 }], { tenant: 'rollback' });
        throw boom;
      });
      await expect(work).rejects.toBe(boom);
      expect(await stored('rollback')).toEqual([]);
      const { rows } = await database.observer.query(
        "select id from business_order where id = 'rolled back'",
      );
      expect(rows).toEqual([]);
    });

    test('savepoint: only what was rolled back to it is gone', async () => {
      await host.transaction(async (tx) => {
        await outbox.emit(tx, plain, 'before', { tenant: 'savepoint' });
        const inner = host.savepoint(tx, async (nested) => {
          await outbox.emit(nested, plain, 'inside', { tenant: 'savepoint' });
          throw boom;
        });
        await expect(inner).rejects.toBe(boom);
        await host.savepoint(tx, (nested) => outbox.emit(nested, plain, 'kept', { tenant: 'savepoint' }));
        await outbox.emit(tx, plain, 'after', { tenant: 'savepoint' });
      });
      expect(await payloads('savepoint')).toEqual(['"before"', '"kept"', '"after"']);
    });

    test.each(oddPayloads())('payload as JSON.stringify wrote it: %s', async (name, data) => {
      const wanted = JSON.stringify(data);
      await host.transaction(async (tx) => {
        await outbox.emit(tx, plain, data, { tenant: `odd ${name}` });
        const both = [{ event: plain, data: null } as const, { event: plain, data } as const];
        await outbox.emitMany(tx, both, { tenant: `odd ${name}` });
      });
      const found = await payloads(`odd ${name}`);
      // Compared apart from expect: a difference within 5 MB would be printed.
      expect(found.map((text) => text === wanted)).toEqual([true, false, true]);
    });

    const nothing = {
      event_type: 'conformance.plain',
      event_version: 1,
      entity_key: null,
      ecosystem: null,
      idempotency_key: null,
      correlation_id: null,
      causation_id: null,
      source_service: 'conformance',
      traceparent: null,
      headers: null,
      payload: 'null',
    };
    const odd = `"{NULL},\\ 'é😀$1 ?`;
    const everything = {
      ecosystem: odd,
      idempotencyKey: odd,
      correlationId: odd,
      causationId: odd,
      headers: { a: odd, b1: '' },
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    };
    const all = {
      event_type: 'conformance.keyed',
      event_version: 7,
      entity_key: odd,
      ecosystem: odd,
      idempotency_key: odd,
      correlation_id: odd,
      causation_id: odd,
      source_service: 'conformance',
      traceparent: everything.traceparent,
      headers: JSON.stringify(everything.headers),
      payload: JSON.stringify(odd),
    };

    test('every option arrives as given, or as null', async () => {
      await host.transaction(async (tx) => {
        await outbox.emit(tx, plain, null, { tenant: 'options one' });
        await outbox.emit(tx, keyed, odd, { tenant: 'options one', lock: 'entity', ...everything });
        const emissions = [
          { event: plain, data: null } as const,
          { event: keyed, data: odd, options: everything } as const,
        ];
        await outbox.emitMany(tx, emissions, { tenant: 'options many' });
      });
      expect(await stored('options one')).toMatchObject([nothing, all]);
      expect(await stored('options many')).toMatchObject([nothing, all]);
    });

    test('the tenant of the transaction is taken when none is given, and guarded', async () => {
      const inTenant = <T>(work: (tx: Transaction) => Promise<T>): Promise<T> =>
        host.transaction(async (tx) => {
          const text = "select set_config('event_runtime.tenant', $1::text, true) as tenant";
          const rows = await host.adapter.execute(tx, { text, values: ['guc'] });
          expect(rows).toEqual([{ tenant: 'guc' }]);
          return await work(tx);
        });
      await inTenant((tx) => outbox.emit(tx, plain, 1));
      await inTenant((tx) => outbox.emitMany(tx, [{ event: plain, data: 2 }]));
      expect(await payloads('guc')).toEqual(['1', '2']);
      const other = inTenant((tx) => outbox.emit(tx, plain, 3, { tenant: 'other' }));
      await expect(other).rejects.toMatchObject({ code: 'ER2006', retryable: false });
      await expect(host.transaction((tx) => outbox.emit(tx, plain, 1))).rejects.toMatchObject({
        code: 'ER2004',
      });
      const many = host.transaction((tx) => outbox.emitMany(tx, [{ event: plain, data: 1 }]));
      await expect(many).rejects.toMatchObject({ code: 'ER2004' });
    });

    test('emitMany: no event is no statement, 1,000 are one, in their order', async () => {
      const before = statements;
      expect(await host.transaction((tx) => outbox.emitMany(tx, []))).toEqual([]);
      expect(statements - before).toBe(0);
      const batch = largeBatch(1_000);
      const emissions = batch.map(({ data, key }) => ({
        event: keyed,
        data,
        options: { tenant: 'many', ...(key === undefined ? {} : { idempotencyKey: key }) },
      }));
      const results = await host.transaction((tx) => outbox.emitMany(tx, emissions, { lock: 'entity' }));
      expect(statements - before).toBe(1);
      const rows = await stored('many');
      expect(rows.map((row) => [row['event_id'], row['payload'], row['idempotency_key']])).toEqual(
        batch.map(({ data, key }, index) => [results[index]?.eventId, JSON.stringify(data), key ?? null]),
      );
      expect(results.some((result) => result.duplicate)).toBe(false);
    });

    test('an idempotency key used before answers the first event, also within one call', async () => {
      const once = { tenant: 'idempotent', idempotencyKey: 'order 1' };
      const first = await host.transaction((tx) => outbox.emit(tx, plain, 'first', once));
      expect(first.duplicate).toBe(false);
      const duplicate = { eventId: first.eventId, duplicate: true };
      expect(await host.transaction((tx) => outbox.emit(tx, plain, 'second', once))).toEqual(duplicate);
      const many = await host.transaction((tx) =>
        outbox.emitMany(
          tx,
          [
            { event: plain, data: 'new', options: { idempotencyKey: 'order 2' } },
            { event: plain, data: 'old', options: { idempotencyKey: 'order 1' } },
            { event: plain, data: 'again', options: { idempotencyKey: 'order 2' } },
          ],
          { tenant: 'idempotent' },
        ),
      );
      expect(many).toEqual([
        { eventId: expect.any(String), duplicate: false },
        duplicate,
        { eventId: many[0]?.eventId, duplicate: true },
      ]);
      expect(await payloads('idempotent')).toEqual(['"first"', '"new"']);
    });

    test('REPEATABLE READ: a key claimed after the snapshot is ER2009, to be retried', async () => {
      const options = { tenant: 'snapshot', idempotencyKey: 'k' };
      const work = host.transaction(
        async (tx) => {
          await host.adapter.execute(tx, { text: 'select pg_current_snapshot()::text as s', values: [] });
          await host.transaction((other) => outbox.emit(other, plain, 'theirs', options));
          await outbox.emit(tx, plain, 'ours', options);
        },
        { isolation: 'repeatable read' },
      );
      await expect(work).rejects.toMatchObject({ code: 'ER2009', retryable: true });
      expect(await payloads('snapshot')).toEqual(['"theirs"']);
    });

    test('no open transaction is ER2003, and nothing is sent', async () => {
      const candidates = await host.withoutTransaction();
      expect(candidates.length).toBeGreaterThan(0);
      const before = statements;
      for (const [name, tx] of candidates) {
        const emitted = outbox.emit(tx, plain, 1, { tenant: 'no transaction' });
        await expect(emitted, name).rejects.toMatchObject({ code: 'ER2003' });
        await expect(outbox.emitMany(tx, []), name).rejects.toMatchObject({ code: 'ER2003' });
      }
      expect(statements - before).toBe(0);
    });

    test('a transaction kept after its end writes nothing more', async () => {
      let kept: Transaction | undefined;
      await host.transaction(async (tx) => {
        kept = tx;
        await host.insertOrder(tx, 'kept');
      });
      const late = outbox.emit(kept as Transaction, plain, 1, { tenant: 'late' });
      await expect(late).rejects.toMatchObject({ code: 'ER2003' });
      expect(await stored('late')).toEqual([]);
    });

    test('an emit that nobody awaited ends with its transaction', async () => {
      let forgotten: Promise<unknown> | undefined;
      const work = host.transaction(async (tx) => {
        await host.insertOrder(tx, 'forgotten');
        forgotten = outbox.emit(tx, plain, 1, { tenant: 'forgotten' }).catch(() => undefined);
        throw new Error('business');
      });
      await expect(work).rejects.toThrow('business');
      await forgotten;
      expect(await stored('forgotten')).toEqual([]);
    });

    test('an emit that nobody awaited, behind a slow validator, is written in no other transaction', async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const validate = (value: unknown): Promise<{ value: unknown }> => promise.then(() => ({ value }));
      const slow = defineEvent('conformance.slow', {
        schema: { '~standard': { version: 1, vendor: 'conformance', validate } },
      });
      const slowly = createOutbox({
        catalog: defineCatalog({ source: 'conformance', events: [slow] }),
        adapter: host.adapter,
      });
      let late: ReadonlyArray<Promise<unknown>> = [];
      const work = host.transaction(async (tx) => {
        await host.insertOrder(tx, 'slow');
        late = [
          slowly.emit(tx, slow, 1, { tenant: 'slow' }),
          slowly.emitMany(tx, [{ event: slow, data: 2 }], { tenant: 'slow' }),
        ].map((emitted) => emitted.catch((error: unknown) => error));
        throw boom;
      });
      await expect(work).rejects.toBe(boom);
      // Another one, of somebody else; where the library keeps connections, on the same connection.
      await host.transaction(async (tx) => {
        await host.insertOrder(tx, 'of somebody else');
        resolve();
        expect(await Promise.all(late)).toMatchObject([{ code: 'ER2003' }, { code: 'ER2003' }]);
      });
      expect(await stored('slow')).toEqual([]);
      await host.transaction((tx) => slowly.emit(tx, slow, 3, { tenant: 'slow' }));
      await host.transaction((tx) => slowly.emitMany(tx, [{ event: slow, data: 4 }], { tenant: 'slow' }));
      expect(await payloads('slow')).toEqual(['3', '4']);
    });

    test('a role that may not emit is told what to grant', async () => {
      const stranger = await open(database.strangerUrl);
      try {
        const theirs = createOutbox({ catalog, adapter: stranger.adapter });
        const work = stranger.transaction((tx) => theirs.emit(tx, plain, 1, { tenant: 't' }));
        await expect(work).rejects.toMatchObject({
          code: 'ER2011',
          message: expect.stringContaining('permission denied'),
        });
      } finally {
        await stranger[Symbol.asyncDispose]();
      }
    });

    test("other errors stay the library's or the driver's own, and none carries the payload", async () => {
      const failures: unknown[] = [];
      const emit = (tx: Transaction): Promise<unknown> =>
        outbox
          .emit(tx, plain, 'PERSONAL', { tenant: 'PERSONAL' })
          .catch((error: unknown) => failures.push(error));
      await host
        .transaction(async (tx) => {
          const broken = host.adapter.execute(tx, { text: 'select 1 / 0 as n', values: [] });
          await broken.catch(() => undefined);
          await emit(tx); // in a failed transaction: 25P02
        })
        .catch(() => undefined);
      expect(failures).toHaveLength(1);
      expect(failures[0]).toBeInstanceOf(Error);
      expect(inspect(failures[0], { depth: 10 })).toContain('25P02');
      expect(inspect(failures[0], { depth: 10, showHidden: true })).not.toContain('PERSONAL');
      expect(await stored('PERSONAL')).toEqual([]);
    });
  });
}
