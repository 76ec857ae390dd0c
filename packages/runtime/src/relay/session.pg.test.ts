import { afterEach, beforeEach, describe, expect, inject, test, vi } from 'vitest';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { Window } from './feed/window.ts';
import { type Arrival, createLedger, faultless, judge, readLedger } from './ledger.suite.ts';
import { Consumer, RelayFixture } from './relay-fixture.suite.ts';
import { StuckSink, type Trouble, writeMany } from './stuck-sink.suite.ts';

const troubles: readonly Trouble[] = ['never resolves', 'rejects', 'asks again for one entity'];

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let fixture: RelayFixture;
  beforeEach(async () => {
    fixture = await RelayFixture.create(inject('postgres')[major]);
    await createLedger(fixture.sql);
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await fixture[Symbol.asyncDispose]();
  });

  const arrivalsOf = (consumer: Consumer): Arrival[] =>
    consumer.events.map(({ event }) => ({ eventId: event.eventId, entity: event.entityKey }));
  const modeOf = async (sink: string): Promise<string | undefined> => {
    const [row] = await fixture.rows<{ mode: string }>(
      'select mode from event_runtime.relay_checkpoint where sink = $1',
      [sink],
    );
    return row?.mode;
  };
  const reads = async (sink: string, mode: 'live' | 'table'): Promise<void> => {
    await eventually(
      () => modeOf(sink),
      (now) => now === mode,
    );
  };

  /** The server has been told to forget all that a sink got. */
  async function passed(sink: Consumer): Promise<void> {
    await fixture.confirmedReaches(sink.events.at(-1)?.position?.lsn ?? 0n);
  }

  /** The most that the window ever held. */
  function watchWindow(): () => number {
    let most = 0;
    const push = Reflect.get(Window.prototype, 'push') as (this: Window, ...given: unknown[]) => never;
    vi.spyOn(Window.prototype, 'push').mockImplementation(function (this: Window, ...given) {
      const idle = push.apply(this, given);
      most = Math.max(most, this.bytes);
      return idle;
    });
    return () => most;
  }

  async function mendedGetsAll(stuck: StuckSink): Promise<void> {
    stuck.mend();
    const ledger = await readLedger(fixture.sql);
    await eventually(
      async () => new Set(stuck.arrivals.map(({ eventId }) => eventId)).size,
      (count) => count === ledger.length,
    );
    expect(judge(ledger, stuck.arrivals)).toMatchObject(faultless);
  }

  test.each(troubles)(
    '1, 3: a sink that %s: the others get everything, the slot moves on, the window stays small; later it gets all',
    async (trouble) => {
      const windowBytes = 64 * 1_024;
      const most = watchWindow();
      const [quick, stuck] = [new Consumer('quick'), new StuckSink(trouble)];
      const relay = fixture.relay([quick.source, stuck.source], { windowBytes });
      await relay.start();
      await fixture.live(relay);
      await writeMany(fixture.sql, { events: 200, size: 800 });
      await quick.has(200);
      await reads('stuck', 'table');
      await passed(quick);
      expect(judge(await readLedger(fixture.sql), arrivalsOf(quick))).toMatchObject({
        ...faultless,
        duplicates: 0,
      });
      // What one read of the socket adds is known only when it is there.
      expect(most()).toBeLessThan(windowBytes + 128 * 1_024);
      expect(relay.status.find(({ sink }) => sink === 'stuck')?.mode).toBe('catching-up');
      await mendedGetsAll(stuck);
      await fixture.live(relay);
    },
  );

  // Not the one that rejects: it would only wait out its backoff.
  test.each(['never resolves', 'asks again for one entity'] as const)(
    '1, 3: a sink that %s with a few events only: it leaves after a while, and the slot moves on',
    async (trouble) => {
      const [quick, stuck] = [new Consumer('quick'), new StuckSink(trouble)];
      const relay = fixture.relay([quick.source, stuck.source], { behindMs: 200 });
      await relay.start();
      await fixture.live(relay);
      // Drawn by lot, but so many that the one is surely among them.
      await fixture.rows('select write(200, 10)');
      await writeMany(fixture.sql, { events: 20 });
      await quick.has(220);
      await reads('stuck', 'table');
      await passed(quick);
      for (let more = 1; more <= 3; more += 1) {
        await writeMany(fixture.sql, { events: 5 });
        await quick.has(220 + 5 * more);
      }
      await passed(quick);
      // As long as something waits, joining again would only repeat what came behind it.
      const left = fixture.logs.filter((line) => line['event'] === 'relay.sink.left');
      expect(left).toMatchObject([{ sink: 'stuck', reason: 'behind' }]);
      await mendedGetsAll(stuck);
      await fixture.live(relay);
    },
  );

  test('a sink that never resolves, and the connection breaks: the others go on after it', async () => {
    const [quick, stuck] = [new Consumer('quick'), new StuckSink('never resolves')];
    const relay = fixture.relay([quick.source, stuck.source]);
    await relay.start();
    await fixture.live(relay);
    await writeMany(fixture.sql, { events: 5 });
    await quick.has(5);
    const lines = fixture.logs.length;
    await fixture.cut();
    await writeMany(fixture.sql, { events: 5 });
    await fixture.logged('relay.started', { after: lines });
    await eventually(
      async () => new Set(arrivalsOf(quick).map(({ eventId }) => eventId)).size,
      (count) => count === 10,
    );
    expect(judge(await readLedger(fixture.sql), arrivalsOf(quick))).toMatchObject(faultless);
    await mendedGetsAll(stuck);
  });

  test('the fan-out of webhooks waits for a lock in the database: the others go on, with a full window too', async () => {
    const quick = new Consumer('quick');
    const relay = fixture.relay([quick.source, fixture.webhooks], { windowBytes: 64 * 1_024, behindMs: 200 });
    await relay.start();
    await fixture.live(relay);
    const other = await fixture.database.connect();
    await other.query('begin; lock table event_runtime.consumer_idempotency');
    await writeMany(fixture.sql, { events: 150, size: 800 });
    await quick.has(150);
    await passed(quick);
    expect(relay.status.find(({ sink }) => sink === 'webhooks')?.mode).toBe('catching-up');
    await other.query('commit');
    await reads('webhooks', 'live');
    await fixture.live(relay);
  });
});
