import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { WebhookSink } from '../webhooks/fan-out.ts';
import type { SinkSource } from './relay.ts';
import { Consumer, RelayFixture } from './relay-fixture.suite.ts';
import { previewRewind, rewindSink } from './sink-rewind.ts';

describe.each([
  ['15', 'wal'],
  ['18', 'table'],
] as const)('PostgreSQL %s, from the %s', (major, source) => {
  let fixture: RelayFixture;
  beforeEach(async () => {
    fixture = await RelayFixture.create(inject('postgres')[major]);
  });
  afterEach(async () => {
    await fixture[Symbol.asyncDispose]();
  });

  /** A tick behind everything. */
  async function tick(): Promise<void> {
    await fixture.rows('select from event_runtime.tick()');
  }

  async function emit(...types: readonly string[]): Promise<void> {
    for (const eventType of types) await fixture.emit({ eventType });
  }

  test('a sink goes back to a time, also while it is paused; the other one notices nothing', async () => {
    const [sink, other] = [new Consumer('billing'), new Consumer('other')];
    const relay = fixture.relay([sink.source, other.source], { source, pollMs: 20 });
    await relay.start();
    await emit('one', 'two');
    await tick();
    // The tick is the last one that is a second older.
    await sleep(1_100);
    const [now] = await fixture.rows<{ at: string }>(
      `select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at`,
    );
    const at = now?.at ?? '';
    await emit('three', 'four');
    await Promise.all([sink.has(4), other.has(4)]);
    const given = { relay: fixture.slot, sink: 'billing', to: at };
    // Its checkpoint is behind what it has for a moment.
    const preview = await eventually(
      () => previewRewind(fixture.pool, given),
      ({ unread }) => unread === 0,
    );
    expect(preview).toMatchObject({ events: 2, unread: 0 });
    await fixture.rows("update event_runtime.relay_checkpoint set paused_at = now() where sink = 'billing'");
    await rewindSink(fixture.pool, given);
    await fixture.logged('relay.sink.rewound');
    expect(sink.types).toEqual(['one', 'two', 'three', 'four']);
    await emit('five');
    await fixture.rows('update event_runtime.relay_checkpoint set paused_at = null');
    await sink.has(7);
    expect(sink.types.slice(4)).toEqual(['three', 'four', 'five']);
    await other.has(5);
    expect(other.types).toEqual(['one', 'two', 'three', 'four', 'five']);
    // What is stored is the new place: nothing of it comes again.
    await relay.stop();
    const later = fixture.relay([sink.source, other.source], { source, pollMs: 20 });
    await later.start();
    await emit('six');
    await Promise.all([sink.has(8), other.has(6)]);
    expect(sink.types.slice(4)).toEqual(['three', 'four', 'five', 'six']);
  });

  test('to the beginning, while it is in the middle of a failing batch and no relay has run since', async () => {
    const sink = new Consumer();
    await emit('one', 'two');
    const relay = fixture.relay([sink.source], { source, pollMs: 20 });
    await relay.start();
    await sink.has(2);
    let tries = 0;
    let broken = true;
    sink.gate = ({ event }) => {
      if (event.eventType !== 'three' || !broken) return;
      tries += 1;
      throw new Error('not now');
    };
    await emit('three');
    await eventually(
      async () => tries,
      (count) => count > 1,
    );
    await rewindSink(fixture.pool, { relay: fixture.slot, sink: 'consumer', to: 'beginning' });
    await sink.has(4);
    broken = false;
    await sink.has(5);
    expect(sink.types).toEqual(['one', 'two', 'one', 'two', 'three']);
    await relay.stop();
    await rewindSink(fixture.pool, { relay: fixture.slot, sink: 'consumer', to: 'beginning' });
    await fixture.relay([sink.source], { source, pollMs: 20 }).start();
    await eventually(
      async () => sink.types.slice(5).join(),
      (types) => types.endsWith('one,two,three'),
    );
  });

  test('to the beginning, what came with a dump comes again too, and is counted', async () => {
    const sink = new Consumer();
    const first = fixture.relay([sink.source], { source, pollMs: 20 });
    await first.start();
    await emit('one', 'two');
    await sink.has(2);
    await first.stop();
    // As where both came with a dump that was adopted.
    for (const table of ['relay_cluster', 'relay_checkpoint']) {
      await fixture.rows(
        `update event_runtime.${table} set floor_seq = (select max(o.seq) from event_runtime.outbox o)`,
      );
    }
    const second = fixture.relay([sink.source], { source, pollMs: 20 });
    await second.start();
    await emit('three');
    await sink.has(3);
    const given = { relay: fixture.slot, sink: 'consumer', to: 'beginning' };
    expect(
      await eventually(
        () => previewRewind(fixture.pool, given),
        ({ unread }) => unread === 0,
      ),
    ).toMatchObject({ events: 3, unread: 0 });
    await rewindSink(fixture.pool, given);
    await sink.has(6);
    expect(sink.types.slice(3)).toEqual(['one', 'two', 'three']);
    // Read once: from then on it goes on behind them.
    await emit('four');
    await sink.has(7);
    expect(sink.types.slice(6)).toEqual(['four']);
  });

  test('asked for in another cluster, of which the transaction ids mean nothing here, it is left alone; the beginning is the beginning', async () => {
    const sink = new Consumer();
    const relay = fixture.relay([sink.source], { source, pollMs: 20 });
    await relay.start();
    await emit('one');
    await sink.has(1);
    await fixture.rows(
      "update event_runtime.relay_checkpoint set rewind_snapshot = '9000000:9000000:', rewind_cluster = 'another'",
    );
    await emit('two');
    await sink.has(2);
    expect(sink.types).toEqual(['one', 'two']);
    await fixture.rows("update event_runtime.relay_checkpoint set rewind_snapshot = '3:3:'");
    await sink.has(4);
    expect(sink.types).toEqual(['one', 'two', 'one', 'two']);
    await relay.stop();
    // As after a dump was restored, before a relay has run.
    await fixture.rows("update event_runtime.relay_checkpoint set system_identifier = '1'");
    const early = rewindSink(fixture.pool, { relay: fixture.slot, sink: 'consumer', to: 'beginning' });
    const remedy = 'Let the relay run here first: `event-runtime start`.';
    await expect(early).rejects.toMatchObject({ code: 'ER6005', remedy });
  });

  test('what cannot be is refused, and changes nothing', async () => {
    const sink = new Consumer();
    const given = { relay: fixture.slot, sink: 'consumer', to: '2026-01-01T00:00:00Z' };
    await expect(rewindSink(fixture.pool, given)).rejects.toMatchObject({ code: 'ER1320' });
    const relay = fixture.relay([sink.source], { source, pollMs: 20 });
    await relay.start();
    await emit('one');
    await sink.has(1);
    await tick();
    await expect(rewindSink(fixture.pool, given)).rejects.toMatchObject({
      code: 'ER6005',
      message: expect.stringContaining('The oldest tick is of 20') as unknown,
      remedy: 'Name a later time, or the beginning: `--to beginning`.',
    });
    for (const to of ['yesterday', '2026-02-30', '2026-01-01T00:00:00', '']) {
      await expect(rewindSink(fixture.pool, { ...given, to })).rejects.toMatchObject({ code: 'ER6001' });
    }
    await relay.stop();
    // Forward would leave events out.
    await emit('two');
    await tick();
    const to = new Date(Date.now() + 60_000).toISOString();
    await expect(rewindSink(fixture.pool, { ...given, to })).rejects.toMatchObject({
      code: 'ER6005',
      remedy: 'Name an earlier time, or wait until `event-runtime lag` shows that it has got there.',
    });
    const [row] = await fixture.rows('select rewind_snapshot from event_runtime.relay_checkpoint');
    expect(row).toEqual({ rewind_snapshot: null });
  });

  test('one with an inbox is refused, whatever it is called: it would make nothing of what it has had', async () => {
    const sink: SinkSource = {
      name: 'customers',
      create: (owner) => new WebhookSink({ pool: fixture.pool, owner, name: 'customers' }),
    };
    await fixture.relay([sink], { source, pollMs: 20 }).start();
    await emit('one');
    await eventually(
      () => fixture.rows('select from event_runtime.consumer_idempotency'),
      ({ length }) => length === 1,
    );
    for (const act of [previewRewind, rewindSink]) {
      const refused = act(fixture.pool, { relay: fixture.slot, sink: 'customers', to: 'beginning' });
      const remedy = 'Make a replay: `event-runtime replay create`.';
      await expect(refused).rejects.toMatchObject({ code: 'ER6005', remedy });
    }
    expect(
      await fixture.rows('select from event_runtime.relay_checkpoint where rewind_snapshot is not null'),
    ).toEqual([]);
  });
});
