import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { deferred } from '../internal/deferred.ts';
import { parseLsn } from '../replication/lsn.ts';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { Consumer, RelayFixture } from './relay-fixture.suite.ts';

const rowCount = 500;
/** So many are delivered at least before the sink stands still. */
const atLeast = 200;

/** A checkpoint's position as it is stored, and the snapshot beside it: whether it sees the copied rows. */
interface StoredPosition {
  readonly mode: string;
  readonly lsn: string;
  readonly ordinal: number;
  readonly sees: boolean;
}

/** What ends the first reader's life, and how the second one begins. */
type Restart = 'its connection is killed' | 'it is stopped, and another one started';

/**
 * COPY writes many rows in one WAL record: they share one LSN, and the server sends all of a transaction again or
 * nothing of it. So within a record only the ordinal says what is delivered.
 */
describe.each(['15', '18'] as const)(
  'a relay stopped within one record of the WAL, PostgreSQL %s',
  (major) => {
    let fixture: RelayFixture;
    let file: string;
    beforeEach(async () => {
      fixture = await RelayFixture.create(inject('postgres')[major]);
      file = join(tmpdir(), `event-runtime-${fixture.database.name}.copy`);
    });
    afterEach(async () => {
      await rm(file, { force: true });
      await fixture[Symbol.asyncDispose]();
    });

    /** One transaction, one COPY; the n-th event has the type `copied n`. */
    async function copyRows(entities: number): Promise<void> {
      const columns = 'event_id, tenant_id, event_type, entity_key, payload, recorded_at';
      await fixture.sql.query(
        `copy (select gen_random_uuid(), 'acme', 'copied ' || g, 'entity ' || g % ${entities}, to_json(g), now()
               from generate_series(0, ${rowCount - 1}) g) to '${file}'`,
      );
      await fixture.sql.query(`copy event_runtime.outbox (${columns}) from '${file}'`);
    }

    /** The records in which rows were written, in their order: read by another slot. */
    async function recordLsns(slot: string): Promise<string[]> {
      const changes = await fixture.rows<{ lsn: string; data: Buffer }>(
        `select lsn::text, data from pg_logical_slot_peek_binary_changes('${slot}', null, null,
         'proto_version', '1', 'publication_names', 'event_runtime')`,
      );
      return changes.filter(({ data }) => data[0] === 'I'.charCodeAt(0)).map(({ lsn }) => lsn);
    }

    async function storedPosition(): Promise<StoredPosition | undefined> {
      const [row] = await fixture.rows<StoredPosition>(
        `select c.mode, c.lsn::text, c.ordinal, exists (
                select 1 from event_runtime.outbox o where pg_visible_in_snapshot(o.tx_id, c.snapshot)) as sees
         from event_runtime.relay_checkpoint c where c.sink = 'consumer'`,
      );
      return row;
    }

    const numbers = (consumer: Consumer, from = 0): number[] =>
      consumer.types.slice(from).map((type) => Number(type.slice('copied '.length)));

    const cases: ReadonlyArray<readonly [Restart, number]> = [
      ['its connection is killed', 1],
      ['its connection is killed', 7],
      ['it is stopped, and another one started', 1],
    ];
    test.each(cases)(
      '%s; %i entities: the ordinal is stored, and what was behind it comes, once, and nothing else',
      async (restart, entities) => {
        const slot = `peek_${fixture.database.name}`;
        await fixture.rows(`select pg_create_logical_replication_slot('${slot}', 'pgoutput')`);
        const consumer = new Consumer();
        const place = deferred<number>();
        let mended = false;
        consumer.gate = async ({ event }) => {
          const at = await place.promise;
          if (!mended && event.eventType === `copied ${at}`) throw new Error('not yet');
        };
        const relay = fixture.relay([consumer.source], { behindMs: 60_000 });
        await relay.start();
        await fixture.live(relay);
        await copyRows(entities);
        const records = await recordLsns(slot);
        expect(records).toHaveLength(rowCount);
        // Each page of the table is a record. The last one delivered and the first one that is not are of the same.
        const at = records.findIndex((lsn, n) => n >= atLeast && lsn === records[n - 1]);
        expect(at).toBeGreaterThan(0);
        place.resolve(at);

        const before = await eventually(storedPosition, (stored) => stored?.ordinal === at - 1);
        expect(before).toMatchObject({ mode: 'live', ordinal: at - 1, sees: false });
        const commit = parseLsn(before?.lsn ?? '');
        // With several entities the others went on; they are delivered, and the ordinal cannot say so.
        const others = Array.from({ length: rowCount }, (_, n) => n).filter(
          (n) => n >= at && n % entities !== at % entities,
        );
        await consumer.has(at + others.length);
        const first = numbers(consumer);
        expect(first.toSorted((a, b) => a - b)).toEqual([...Array(at).keys(), ...others]);

        const lines = fixture.logs.length;
        if (restart === 'its connection is killed') await fixture.cut();
        else {
          await relay.stop();
          await fixture.slotIsFree();
          expect(await storedPosition()).toEqual(before);
          await fixture.relay([consumer.source], { behindMs: 60_000 }).start();
        }
        expect(await fixture.logged('relay.started', { after: lines })).toMatchObject({
          sinks: ['consumer: live'],
        });
        expect(await storedPosition()).toEqual(before);
        expect(await fixture.confirmed()).toBeLessThanOrEqual(commit);
        mended = true;
        await consumer.has(first.length + rowCount - at);
        // What would come too often comes before this one.
        await fixture.emit({ eventType: 'copied 500' });
        await consumer.has(first.length + rowCount - at + 1);
        const second = numbers(consumer, first.length);
        expect(second.toSorted((a, b) => a - b)).toEqual(
          Array.from({ length: rowCount + 1 - at }, (_, n) => at + n),
        );
        for (let entity = 0; entity < entities; entity += 1) {
          const came = second.filter((n) => n < rowCount && n % entities === entity);
          expect(came).toEqual(came.toSorted((a, b) => a - b));
        }
        const events = consumer.events.filter(({ event }) => event.eventType !== 'copied 500');
        expect(new Set(events.map(({ position }) => position?.lsn))).toEqual(new Set([commit]));
        for (const { event, position } of events)
          expect(event.eventType).toBe(`copied ${position?.ordinal ?? 'from the table'}`);
      },
    );
  },
);
