import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { Consumer, RelayFixture } from './relay-fixture.suite.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let fixture: RelayFixture;
  beforeEach(async () => {
    fixture = await RelayFixture.create(inject('postgres')[major]);
  });
  afterEach(async () => {
    await fixture[Symbol.asyncDispose]();
  });

  /** Writes WAL without end that nobody waits for, so that the log is never durable up to where it ends. */
  async function noise(over: AbortSignal): Promise<void> {
    const client = await fixture.database.connect();
    while (!over.aborted) {
      await client.query(
        "select count(pg_logical_emit_message(false, 'noise', '')) from generate_series(1, 50)",
      );
    }
  }

  async function emitMany(count: number): Promise<string[]> {
    const ids: string[] = [];
    for (let nth = 0; nth < count; nth += 1) ids.push(await fixture.emit());
    return ids;
  }

  test('a sink that was in the middle of a batch gets all behind it, of which the slot sends no more', async () => {
    const [ahead, behind] = [new Consumer('ahead'), new Consumer('behind')];
    const sources = [ahead.source, behind.source];
    const first = fixture.relay(sources);
    await first.start();
    await fixture.live(first);
    await emitMany(3);
    await Promise.all([ahead.has(3), behind.has(3)]);
    await fixture.rows("update event_runtime.relay_checkpoint set paused_at = now() where sink = 'behind'");
    await fixture.logged('relay.sink.left');
    const [before] = await fixture.rows<{ snapshot: string }>(
      'select pg_current_snapshot()::text as snapshot',
    );
    await emitMany(1);
    const [end] = await fixture.rows<{ snapshot: string; seq: string }>(
      'select pg_current_snapshot()::text as snapshot, max(seq)::text as seq from event_runtime.outbox',
    );
    const missing = await emitMany(50);
    await ahead.has(54);
    await fixture.confirmedReaches(await fixture.walPosition());
    await first.stop();
    // As a relay leaves it that dies once the last page of a batch is delivered: its end is a snapshot of that time.
    await fixture.rows(
      `update event_runtime.relay_checkpoint
          set paused_at = null, mode = 'table', snapshot = $1, batch_snapshot = $2, batch_seq = $3
        where sink = 'behind'`,
      [before?.snapshot, end?.snapshot, end?.seq],
    );
    const over = new AbortController();
    const noises = [1, 2].map(async () => await noise(over.signal));
    try {
      const second = fixture.relay(sources);
      await second.start();
      await fixture.live(second);
      const last = await fixture.emit();
      await Promise.all([ahead.has(55), behind.has(3 + missing.length + 1)]);
      const got = behind.events.slice(3).map(({ event }) => event.eventId);
      expect(got.filter((id, at) => got.indexOf(id) === at)).toEqual([...missing, last]);
    } finally {
      over.abort();
      await Promise.all(noises);
    }
  });
});
