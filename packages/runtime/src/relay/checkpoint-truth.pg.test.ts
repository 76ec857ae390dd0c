import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { comparePositions, type Position } from '../log/outbox-event.ts';
import { WalReader } from '../log/wal-reader.ts';
import { parseLsn } from '../replication/lsn.ts';
import { createSlot } from '../replication/slot.ts';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { createLedger, draws, faultless, judge, readLedger, write } from './ledger.suite.ts';
import { Consumer, RelayFixture } from './relay-fixture.suite.ts';
import { ReplicaFleet } from './replica-fleet.suite.ts';

/** A checkpoint as it was stored at a moment, and how many events the sink had been given by then. */
interface Observation {
  readonly sink: string;
  readonly mode: 'live' | 'table';
  readonly position: Position;
  readonly had: number;
}

interface ObservedRow {
  readonly sink: string;
  readonly mode: 'live' | 'table';
  readonly lsn: string;
  readonly ordinal: number;
  /** What the checkpoint says is delivered: by its snapshot, and by its batch. */
  readonly told: readonly string[] | null;
}

const observe = `
select c.sink, c.mode, c.lsn::text, c.ordinal,
       (select array_agg(o.event_id::text) from event_runtime.outbox o
         where pg_visible_in_snapshot(o.tx_id, c.snapshot)
            or (pg_visible_in_snapshot(o.tx_id, c.batch_snapshot) and o.seq <= c.batch_seq)) as told
  from event_runtime.relay_checkpoint c`;

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let fixture: RelayFixture;
  beforeEach(async () => {
    fixture = await RelayFixture.create(inject('postgres')[major]);
    await createLedger(fixture.sql);
  });
  afterEach(async () => {
    await fixture[Symbol.asyncDispose]();
  });

  /** Where each event is in the WAL, read by a slot of our own. */
  async function positions(slot: string, count: number): Promise<Map<string, Position>> {
    await using reader = await WalReader.open({
      connectionString: fixture.database.url,
      slot,
      publication: 'event_runtime',
    });
    const found = new Map<string, Position>();
    for await (const { events } of reader) {
      for (const { event, position } of events) if (position !== null) found.set(event.eventId, position);
      if (found.size === count) break;
    }
    return found;
  }

  async function load(clients: readonly pg.Client[], over: AbortSignal): Promise<void> {
    await Promise.all(
      clients.map(async (client, nth) => {
        for (let at = 0; !over.aborted; at += 1) {
          await write(client, { events: 1 + (at % 3), ending: (at + nth) % 9 === 0 ? 'rollback' : 'commit' });
          await client.query('select pg_sleep(0.008)');
        }
      }),
    );
  }

  test('paused and resumed under load: order kept; whatever a checkpoint says at any time is true', async () => {
    const seed = Date.now() % 2 ** 31;
    console.log('seed', seed);
    const random = draws(seed);
    const ours = `truth_${fixture.database.name}`;
    await createSlot(fixture.sql, { slot: ours });
    const sinks = new Map(['paused', 'stalling'].map((name) => [name, new Consumer(name)]));
    const gone = async (ms: number): Promise<void> =>
      void (await fixture.pool.query('select pg_sleep($1)', [ms / 1_000]));
    const stalling = sinks.get('stalling') as Consumer;
    stalling.gate = async () => {
      if (random() < 0.004) await gone(150);
    };
    const relay = fixture.relay(
      [...sinks.values()].map(({ source }) => source),
      {
        windowBytes: 64 * 1_024,
        behindMs: 100,
      },
    );
    await relay.start();
    await fixture.live(relay);
    const over = new AbortController();
    const [operator, ...writers] = await Promise.all([1, 2, 3, 4].map(() => fixture.database.connect()));
    const writing = load(writers, over.signal);
    const observations: Observation[] = [];
    const seen = (sink: string, mode: string): number =>
      observations.filter((each) => each.sink === sink && each.mode === mode).length;
    const enough = (): boolean =>
      [...sinks.keys()].every((sink) => seen(sink, 'live') >= 6 && seen(sink, 'table') >= 6);
    const pausing = (async () => {
      for (let turns = 0; !over.signal.aborted; turns += 1) {
        // Once it was seen in one mode, it is made to go over to the other.
        const mode = turns % 2 === 0 ? 'live' : 'table';
        const before = seen('paused', mode);
        while (!over.signal.aborted && seen('paused', mode) === before) await gone(5);
        const value = mode === 'live' ? 'now()' : 'null';
        await operator?.query(
          `update event_runtime.relay_checkpoint set paused_at = ${value} where sink = 'paused'`,
        );
      }
    })();
    for (const deadline = performance.now() + 40_000; !enough() && performance.now() < deadline; ) {
      for (const row of await fixture.rows<ObservedRow>(observe)) {
        const had = (sinks.get(row.sink) as Consumer).events;
        const given = new Set(had.map(({ event }) => event.eventId));
        expect((row.told ?? []).filter((eventId) => !given.has(eventId))).toEqual([]);
        const position = { lsn: parseLsn(row.lsn), ordinal: row.ordinal };
        observations.push({ sink: row.sink, mode: row.mode, position, had: had.length });
      }
    }
    over.abort();
    await Promise.all([writing, pausing]);
    expect(
      enough(),
      [...sinks.keys()].map((sink) => `${sink}: ${seen(sink, 'live')}, ${seen(sink, 'table')}`).join('; '),
    ).toBe(true);
    await fixture.rows('update event_runtime.relay_checkpoint set paused_at = null');
    const ledger = await readLedger(fixture.sql);
    for (const { events } of sinks.values()) {
      await eventually(
        async () => new Set(events.map(({ event }) => event.eventId)).size,
        (count) => count >= ledger.length,
      );
      const arrivals = events.map(({ event }) => ({ eventId: event.eventId, entity: event.entityKey }));
      expect(judge(ledger, arrivals)).toMatchObject(faultless);
    }
    const where = await positions(ours, ledger.length);
    for (const { sink, mode, position, had } of observations) {
      if (mode === 'table') continue;
      const given = new Set(
        (sinks.get(sink) as Consumer).events.slice(0, had).map(({ event }) => event.eventId),
      );
      const missing = [...where].filter(
        ([eventId, at]) => comparePositions(at, position) <= 0 && !given.has(eventId),
      );
      expect(missing).toEqual([]);
    }
  });

  test('killed at any time, again and again, and started anew: the server has forgotten nothing too early', async () => {
    await using fleet = await ReplicaFleet.create(inject('postgres')[major]);
    await fleet.load();
    for (let kills = 0; kills < 2; kills += 1) {
      const replica = await fleet.start({ leaseMs: 400, checkpointMs: 20 });
      await fleet.delivered(replica);
      if (kills % 2 === 0) await fleet.logged(replica, (line) => line['event'] === 'relay.sink.joined');
      await replica.kill();
    }
    await fleet.start({ leaseMs: 400, checkpointMs: 20 });
    const { consumer, webhooks } = await fleet.verdicts();
    expect(consumer).toMatchObject(faultless);
    expect(webhooks).toMatchObject({ ...faultless, duplicates: 0 });
  });
});
