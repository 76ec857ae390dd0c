import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { createLedger, faultless, judge, readLedger, write } from './ledger.suite.ts';
import { Consumer, RelayFixture } from './relay-fixture.suite.ts';

/** Rows of a table that is not published, in one transaction: decoded, they take longer than the timeout. */
const rowCount = 300_000;
const walSenderTimeoutMs = 500;

/** Such a transaction is decoded whole before the next event comes; with a million rows that takes ten seconds. */
describe.each(['15', '18'] as const)('a large transaction of other tables, PostgreSQL %s', (major) => {
  let fixture: RelayFixture;
  beforeEach(async () => {
    fixture = await RelayFixture.create(inject('postgres')[major]);
    await createLedger(fixture.sql);
  });
  afterEach(async () => {
    await fixture[Symbol.asyncDispose]();
  });

  async function spilled(): Promise<number> {
    const [row] = await fixture.rows<{ count: string }>(
      'select spill_txns::text as count from pg_stat_replication_slots where slot_name = $1',
      [fixture.slot],
    );
    return Number(row?.count ?? 0);
  }

  test.each(['none', 'one'])(
    'spilled to disk, with %s of its own events, and a short timeout: the slot gets past it, nothing lost, order kept',
    { timeout: 300_000 },
    async (own) => {
      // As small as it can be; of the role, so that the connection that decodes has it.
      await fixture.rows(`alter role relay_${fixture.database.name} set logical_decoding_work_mem = '64kB'`);
      const consumer = new Consumer();
      const relay = fixture.relay([consumer.source], { walSenderTimeoutMs });
      await relay.start();
      await fixture.live(relay);
      await write(fixture.sql);
      await consumer.has(1);
      await fixture.rows('create table bulk (n int)');

      const bulk = await fixture.database.connect();
      await bulk.query('begin');
      const over = new AbortController();
      const others = await fixture.database.connect();
      const writing = (async () => {
        while (!over.signal.aborted) {
          await write(others);
          await others.query('select pg_sleep(0.02)');
        }
      })();
      await bulk.query('insert into bulk select g from generate_series(1, $1) g', [rowCount]);
      if (own === 'one') await bulk.query('select write(1, 10)');
      await bulk.query('commit');
      const committed = await fixture.walPosition();
      await fixture.confirmedReaches(committed);
      over.abort();
      await writing;
      await write(fixture.sql, { events: 5 });

      const ledger = await readLedger(fixture.sql);
      const ids = (): Set<string> => new Set(consumer.events.map(({ event }) => event.eventId));
      await eventually(
        async () => ids().size,
        (size) => size >= ledger.length,
      );
      const arrivals = consumer.events.map(({ event }) => ({
        eventId: event.eventId,
        entity: event.entityKey,
      }));
      expect(judge(ledger, arrivals)).toMatchObject(faultless);
      await fixture.live(relay);
      // The premise. The server counts a while later.
      await eventually(spilled, (count) => count > 0);
    },
  );
});
