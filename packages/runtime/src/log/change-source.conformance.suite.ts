import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { Books, type Fault, Writing } from './change-books.suite.ts';
import { LogFixture } from './log-fixture.suite.ts';
import type { LoggedEvent } from './outbox-event.ts';

/**
 * What both readers of the outbox have in common: events in an order that keeps each entity's, and what was settled
 * does not come again when the source is opened anew.
 */
export interface ChangeSource extends AsyncDisposable {
  /** The next events; waits for some. Possibly empty. A very large transaction may come in parts. */
  next(): Promise<readonly LoggedEvent[]>;
  /** Everything that {@link next} has given is durable elsewhere. Resolves when that will not be forgotten. */
  settle(): Promise<void>;
}

/** A way to read the outbox of a database; what it keeps between two sources is kept here. */
export interface ChangeSourceHost extends AsyncDisposable {
  open(): Promise<ChangeSource>;
}

/** Events of the largest transaction. A million takes about 20 s for each reader and version. */
export const hugeTransaction: number = Number(process.env['EVENT_RUNTIME_HUGE_TRANSACTION'] ?? 20_000);

/**
 * What every source of changes must hold, against real PostgreSQL, both ends of the supported range.
 *
 * @param create a host for a database that has no events yet
 */
export function describeChangeSource(
  name: string,
  create: (log: LogFixture) => Promise<ChangeSourceHost>,
): void {
  describe.each(['15', '18'] as const)(`${name}, PostgreSQL %s`, (major) => {
    let log: LogFixture;
    let host: ChangeSourceHost;
    let books: Books;
    let seen: LoggedEvent[];
    let markers = 0;

    beforeAll(async () => {
      log = await LogFixture.create(inject('postgres')[major]);
      host = await create(log);
    });
    afterAll(async () => {
      await host?.[Symbol.asyncDispose]();
      await log?.[Symbol.asyncDispose]();
    });
    beforeEach(() => {
      books = new Books();
      seen = [];
    });

    async function begin(statement = 'begin'): Promise<Writing> {
      const client = await log.connect();
      await client.query(statement);
      return new Writing(client, books);
    }

    /** One transaction with one event. */
    async function once(event: string, key?: string): Promise<void> {
      const writing = await begin();
      await writing.emit(event, key === undefined ? {} : { key });
      await writing.commit();
    }

    /** Reads until an event that is committed now has come: with it, or before, all that was committed before it. */
    async function catchUp(source: ChangeSource): Promise<void> {
      const marker = `marker ${(markers += 1)}`;
      await once(marker, marker);
      for (let found = false; !found; ) {
        const events = books.checkOff(await source.next());
        seen.push(...events);
        found = events.some(({ event }) => event.eventType === marker);
      }
    }

    /** Nothing lost, nothing twice, nothing that was never committed, each entity in order, every byte as it was. */
    async function faultsOf(scenario: (source: ChangeSource) => Promise<void>): Promise<Fault[]> {
      await using source = await host.open();
      await scenario(source);
      await catchUp(source);
      // What would come too late or twice comes before this one.
      await catchUp(source);
      await source.settle();
      return books.faults(seen);
    }

    test('an event has its transaction and its time', async () => {
      const faults = await faultsOf(async (source) => {
        await once('one');
        await catchUp(source);
      });
      expect(faults).toEqual([]);
      const { rows } = await log.sql.query<{ id: string; tx: string; seq: string }>(
        'select event_id as id, tx_id::text as tx, seq::text from event_runtime.outbox',
      );
      for (const { event, txId, committedAt, capturedAt } of seen) {
        const row = rows.find(({ id }) => id === event.eventId);
        expect([txId.toString(), event.seq.toString()]).toEqual([row?.tx, row?.seq]);
        expect(Math.abs(committedAt - Date.now())).toBeLessThan(120_000);
        expect(Math.abs(capturedAt - Date.now())).toBeLessThan(120_000);
      }
    });

    test('a late commit, and what was committed meanwhile', async () => {
      const faults = await faultsOf(async (source) => {
        const late = await begin();
        await late.emit('late 1', { key: 'late' });
        await once('early');
        await catchUp(source);
        await late.emit('late 2', { key: 'late' });
        await catchUp(source);
        await late.commit();
        await catchUp(source);
      });
      expect(faults).toEqual([]);
    });

    test.each(['lower', 'higher'])(
      'two transactions on one entity; the one with the %s id goes first',
      async (first) => {
        const faults = await faultsOf(async () => {
          const [low, high] = [await begin(), await begin()];
          for (const { client } of [low, high]) await client.query('select pg_current_xact_id()');
          const [one, other] = first === 'lower' ? [low, high] : [high, low];
          await one.emit('first 1');
          await one.emit('first 2');
          // Waits for the entity until the first one has committed.
          const waiting = other.emit('second 1');
          await one.commit();
          await waiting;
          await other.emit('second 2');
          await other.commit();
        });
        expect(faults).toEqual([]);
      },
    );

    test('savepoints: what was rolled back to is gone, what stood before and came after is there', async () => {
      const faults = await faultsOf(async () => {
        const writing = await begin();
        await writing.emit('kept 1');
        await writing.client.query('savepoint a');
        await writing.emit('kept 2');
        await writing.client.query('savepoint b');
        const { mark } = writing;
        await writing.emit('undone');
        await writing.rollbackTo('b', mark);
        await writing.emit('kept 3');
        await writing.client.query('release a');
        await writing.commit();
      });
      expect(faults).toEqual([]);
    });

    test('what is rolled back never comes', async () => {
      const faults = await faultsOf(async (source) => {
        const writing = await begin();
        await writing.emit('never');
        await catchUp(source);
        await writing.client.query('rollback');
        const failing = await begin();
        await failing.emit('never either');
        await expect(failing.client.query('select 1 / 0')).rejects.toThrow('division');
        await failing.client.query('commit');
      });
      expect(faults).toEqual([]);
    });

    test('COPY: many rows, one record in the log', async () => {
      const file = join(tmpdir(), `event-runtime-${log.database.name}.copy`);
      const columns = 'event_id, tenant_id, event_type, entity_key, payload, recorded_at';
      await log.sql.query(
        `copy (select gen_random_uuid(), 'acme', 'copied ' || g, 'copied', to_json(g), now()
                 from generate_series(1, 500) g) to '${file}'`,
      );
      try {
        const faults = await faultsOf(async () => {
          const writing = await begin();
          await writing.client.query(`copy event_runtime.outbox (${columns}) from '${file}'`);
          const drafts = Array.from({ length: 500 }, (_, index) => index + 1);
          writing.wrote(drafts.map((n) => ({ name: `copied ${n}`, key: 'copied', payload: `${n}` })));
          await writing.commit();
        });
        expect(faults).toEqual([]);
      } finally {
        await rm(file, { force: true });
      }
    });

    const timeout = 60_000 + hugeTransaction;
    test(`a transaction of ${hugeTransaction} events, beside small ones`, { timeout }, async () => {
      const faults = await faultsOf(async (source) => {
        const writing = await begin();
        await writing.bulk('huge', hugeTransaction);
        await once('beside 1');
        await catchUp(source);
        await writing.commit();
        await once('beside 2');
      });
      expect(faults).toEqual([]);
    });

    test('payloads of several MB, among small ones, byte by byte', async () => {
      const faults = await faultsOf(async () => {
        const writing = await begin();
        for (const [index, size] of [3, 0, 5, 1].entries()) {
          // Not compressible, and with what JSON may hold.
          const noise = Array.from({ length: size * 16 }, () =>
            crypto.getRandomValues(new Uint8Array(49_152)),
          );
          const text = noise.map((bytes) => Buffer.from(bytes).toString('base64')).join('');
          await writing.emit(`large ${index}`, { payload: ` {"é\\u0000": 1.0,\t"s": "${text}😀"}\n` });
        }
        await writing.commit();
      });
      expect(faults).toEqual([]);
    });

    test('prepared transactions: one is committed late, one is rolled back', async () => {
      const faults = await faultsOf(async (source) => {
        const [kept, gone] = [await begin(), await begin()];
        await kept.emit('prepared 1', { key: 'kept' });
        await kept.emit('prepared 2', { key: 'kept' });
        await gone.emit('never', { key: 'gone' });
        await kept.client.query(`prepare transaction 'kept ${log.database.name}'`);
        await gone.client.query(`prepare transaction 'gone ${log.database.name}'`);
        await once('meanwhile');
        await catchUp(source);
        await kept.commit(`commit prepared 'kept ${log.database.name}'`);
        await gone.client.query(`rollback prepared 'gone ${log.database.name}'`);
      });
      expect(faults).toEqual([]);
    });

    test('partitions detached, dropped and attached while it runs', async () => {
      const old = async (event: string): Promise<void> => {
        const writing = await begin();
        await writing.client.query(
          `insert into event_runtime.outbox (event_id, tenant_id, event_type, entity_key, payload, recorded_at)
           values (gen_random_uuid(), 'acme', $1, 'old', '1', now() - interval '3 days')`,
          [event],
        );
        writing.wrote([{ name: event, key: 'old', payload: '1' }]);
        await writing.commit();
      };
      const leaf = 'event_runtime.outbox_underflow';
      const faults = await faultsOf(async (source) => {
        await old('old 1');
        await catchUp(source);
        await log.sql.query(`alter table event_runtime.outbox detach partition ${leaf} concurrently`);
        await once('without it');
        await catchUp(source);
        await log.sql.query(`drop table ${leaf}`);
        await once('after it');
        await catchUp(source);
        const today = "date_trunc('day', now(), 'UTC')";
        await log.sql.query(`select event_runtime.partition_create('outbox', '-infinity', ${today})`);
        await old('old 2');
      });
      expect(faults).toEqual([]);
    });

    test('a long transaction elsewhere holds nothing up', async () => {
      const elsewhere = await log.connect();
      await elsewhere.query('create table if not exists public.elsewhere (n int)');
      await elsewhere.query('begin isolation level repeatable read');
      await elsewhere.query('insert into public.elsewhere values (1)');
      const faults = await faultsOf(async (source) => {
        for (let index = 0; index < 5; index += 1) {
          await once(`beside ${index}`);
          await log.tick();
          await catchUp(source);
        }
      });
      expect(faults).toEqual([]);
      await elsewhere.query('rollback');
    });

    test('synchronous_commit = off', async () => {
      const faults = await faultsOf(async (source) => {
        for (let index = 0; index < 20; index += 1) {
          const writing = await begin();
          await writing.client.query('set local synchronous_commit = off');
          await writing.emit(`not waited for ${index}`);
          await writing.commit();
        }
        await catchUp(source);
      });
      expect(faults).toEqual([]);
    });

    test('opened anew: what was not settled comes again, what was settled does not', async () => {
      const faults = await faultsOf(async (source) => {
        await once('settled');
        await catchUp(source);
        await source.settle();
      });
      expect(faults).toEqual([]);
      const first = seen;
      seen = [];
      {
        await using source = await host.open();
        await once('again');
        await catchUp(source);
        expect(
          seen.filter(({ event }) => first.some((each) => each.event.eventId === event.eventId)),
        ).toEqual([]);
      }
      const unsettled = seen;
      seen = [];
      await using source = await host.open();
      await catchUp(source);
      expect(seen.map(({ event }) => event.eventId)).toEqual(
        expect.arrayContaining(unsettled.map(({ event }) => event.eventId)),
      );
      expect(seen).toHaveLength(unsettled.length + 1);
      await source.settle();
    });
  });
}
