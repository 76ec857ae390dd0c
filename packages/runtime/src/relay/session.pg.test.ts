import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { beginning } from '../log/outbox-event.ts';
import { WalReader } from '../log/wal-reader.ts';
import { createSlot } from '../replication/slot.ts';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { Consumer, RelayFixture } from './relay-fixture.suite.ts';
import { Session } from './session.ts';
import { SinkFeed } from './sink-feed.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let fixture: RelayFixture;
  beforeEach(async () => {
    fixture = await RelayFixture.create(inject('postgres')[major]);
  });
  afterEach(async () => {
    await fixture[Symbol.asyncDispose]();
  });

  test('1: the slot does not pass a transaction that one sink has not whole; others go on', async () => {
    const [quick, picky] = [new Consumer('quick'), new Consumer('picky')];
    const relay = fixture.relay([quick.source, picky.source]);
    await relay.start();
    let failures = 0;
    let mended = false;
    picky.gate = ({ event }) => {
      if (event.eventType !== 'bad' || mended) return;
      failures += 1;
      throw new Error('not yet');
    };
    await fixture.emit({ eventType: 'good', entityKey: 'b' });
    await fixture.sql.query('begin');
    await fixture.emit({ eventType: 'first of two', entityKey: 'b' });
    await fixture.emit({ eventType: 'bad', entityKey: 'a' });
    await fixture.sql.query('commit');
    await fixture.emit({ eventType: 'behind bad', entityKey: 'a' });
    await fixture.emit({ eventType: 'after', entityKey: 'b' });
    const end = await fixture.walPosition();
    await quick.has(5);
    await picky.has(3);
    expect(picky.types).toEqual(['good', 'first of two', 'after']);
    const stuckAt = quick.events[1]!.position!.lsn;
    // The transaction before moves the slot: so checkpoints and confirmations do happen.
    await fixture.confirmedReaches(quick.events[0]!.position!.lsn);
    await eventually(
      async () => failures,
      (count) => count >= 20,
    );
    expect(await fixture.confirmed()).toBeLessThanOrEqual(stuckAt);
    mended = true;
    await picky.has(5);
    expect(picky.types.slice(3)).toEqual(['bad', 'behind bad']);
    await fixture.confirmedReaches(end);
    expect(quick.types).toEqual(['good', 'first of two', 'bad', 'behind bad', 'after']);
  });

  test('2: nothing moved, nothing written', async () => {
    const consumer = new Consumer();
    const relay = fixture.relay([consumer.source], { checkpointMs: 5 });
    await relay.start();
    // WAL of others moves the slot by keepalives, and is no reason for a checkpoint.
    await fixture.rows('create table other (id int)');
    await fixture.confirmedReaches(await fixture.walPosition());
    const rows = async (): Promise<unknown[]> =>
      await fixture.rows(
        'select xmin::text, updated_at::text, lsn::text, ordinal from event_runtime.relay_checkpoint',
      );
    expect(await rows()).toEqual([]);
    await fixture.emit();
    const end = await fixture.walPosition();
    await fixture.confirmedReaches(end);
    const before = await rows();
    expect(before).toHaveLength(1);
    await fixture.rows('insert into other values (1)');
    await fixture.confirmedReaches(await fixture.walPosition());
    expect(await rows()).toEqual(before);
    await fixture.emit();
    await eventually(rows, (now) => JSON.stringify(now) !== JSON.stringify(before));
  });

  test.each([
    ['large', 300, JSON.stringify('x'.repeat(100_000))],
    // Their payloads alone would never fill it.
    ['small', 70_000, '1'],
  ])(
    '3: reading stops while %s events fill the window of a sink that stands still',
    async (_kind, count, payload) => {
      const windowBytes = 1024 * 1024;
      const consumer = new Consumer();
      const gate = Promise.withResolvers<void>();
      consumer.gate = () => gate.promise;
      await createSlot(fixture.sql, { slot: fixture.slot });
      await fixture.rows(
        `select count(*) from event_runtime.emit_many(
         array_fill('bulk'::text, array[$1::int]), array_fill($2::json, array[$1::int]), array['acme'])`,
        [count, payload],
      );
      const end = await fixture.walPosition();
      await using reader = await WalReader.open({
        connectionString: fixture.database.url,
        slot: fixture.slot,
        publication: 'event_runtime',
      });
      const owner = { slot: fixture.slot, systemIdentifier: reader.systemIdentifier };
      const feed = new SinkFeed({
        sink: consumer.sink(),
        from: beginning,
        logger: silentLogger,
        onRejected: async () => undefined,
      });
      const stop = new AbortController();
      const session = new Session({
        reader,
        feeds: [feed],
        owner,
        pool: fixture.pool,
        logger: silentLogger,
        checkpointMs: 20,
        windowBytes,
      });
      let most = 0;
      const watch = setInterval(() => {
        most = Math.max(most, feed.bytes);
      }, 1);
      const running = session.run({ stopping: stop.signal, aborted: stop.signal });
      await eventually(
        async () => feed.bytes,
        (bytes) => bytes > windowBytes,
      );
      // The server waits for its client to read, or has sent everything into the buffers in between.
      await eventually(
        () =>
          fixture.rows<{ idle: boolean }>(
            `select a.wait_event = 'WalSenderWriteData' or r.sent_lsn - '0/0'::pg_lsn >= $2 as idle
               from pg_stat_activity a join pg_replication_slots s on s.active_pid = a.pid join pg_stat_replication r on r.pid = a.pid
         where s.slot_name = $1`,
            [fixture.slot, String(end)],
          ),
        ([row]) => row?.idle ?? false,
      );
      expect(consumer.events).toEqual([]);
      gate.resolve();
      await consumer.has(count);
      await eventually(
        async () => feed.bytes,
        (bytes) => bytes === 0,
      );
      stop.abort();
      await running;
      clearInterval(watch);
      // The window, and what one read of the socket (64 kB, or one message) may add to it.
      expect(most).toBeLessThan(windowBytes + 600_000);
    },
  );

  test('a sink is told to let go when the connection breaks under it', async () => {
    const consumer = new Consumer();
    const hung = Promise.withResolvers<void>();
    let first = true;
    const relay = fixture.relay([
      {
        name: 'hung',
        features: { order: true, dedupe: false, ownCheckpoint: false },
        async deliver(batch, { signal }) {
          if (!first) return await consumer.source.deliver(batch, { signal });
          first = false;
          hung.resolve();
          return await new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
          });
        },
        async [Symbol.asyncDispose]() {},
      },
    ]);
    await relay.start();
    await fixture.emit();
    await hung.promise;
    await fixture.cut();
    await consumer.has(1);
    expect(consumer.types).toEqual(['thing.happened']);
  });
});
