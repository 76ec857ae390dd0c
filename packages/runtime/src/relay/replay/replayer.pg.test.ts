import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { deferred } from '../../internal/deferred.ts';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import { eventually } from '../../replication/stream-fixture.suite.ts';
import { Consumer, RelayFixture } from '../relay-fixture.suite.ts';
import { relayReport } from '../report/relay-report.ts';
import type { RoutableEvent, Route } from '../route.ts';
import {
  createReplay,
  getReplay,
  listReplays,
  previewReplay,
  type Replay,
  type ReplayOptions,
  setReplayState,
} from './replay-jobs.ts';

describe.each([
  ['15', 'table'],
  ['18', 'wal'],
] as const)('PostgreSQL %s, from the %s', (major, source) => {
  let fixture: RelayFixture;
  beforeEach(async () => {
    fixture = await RelayFixture.create(inject('postgres')[major]);
  });
  afterEach(async () => {
    await fixture[Symbol.asyncDispose]();
  });

  /** A relay that has got so many events to its sinks, six entities in turn. */
  async function running(
    sinks: readonly Consumer[],
    events: number,
    routes?: readonly Route[],
  ): Promise<void> {
    await fixture.rows(
      `select event_runtime.emit('thing.' || case when n % 2 = 0 then 'even' else 'odd' end, to_json(n)::json,
                                 'tenant ' || n % 2, 'entity ' || n % 3)
         from generate_series(1, $1::int) as n`,
      [events],
    );
    const relay = fixture.relay(
      sinks.map((sink) => sink.source),
      { source, pollMs: 20, ...(routes === undefined ? {} : { routes }) },
    );
    await relay.start();
    for (const sink of sinks) await sink.has(events);
  }

  async function replay(options: Partial<ReplayOptions> = {}): Promise<Replay> {
    return await createReplay(fixture.pool, {
      relay: fixture.slot,
      sink: 'consumer',
      selection: {},
      ...options,
    });
  }

  async function reaches(id: string, holds: (replay: Replay) => boolean): Promise<Replay> {
    return await eventually(async () => await getReplay(fixture.pool, { relay: fixture.slot, id }), holds);
  }

  const numbers = (events: readonly LoggedEvent[]): number[] =>
    events.map(({ event }) => Number(event.payload.toString()));

  test('hands over what is selected, marked, in order, to its sink alone; what is emitted meanwhile is no part of it', async () => {
    const [sink, other] = [new Consumer(), new Consumer('other')];
    await running([sink, other], 1_000);
    const selection = { type: 'thing.e*', tenant: 'tenant 0', entityKey: 'entity 1' };
    const expected = Array.from({ length: 1_000 }, (_, index) => index + 1).filter((n) => n % 6 === 4);
    const options = { relay: fixture.slot, sink: 'consumer', selection };
    expect(await previewReplay(fixture.pool, options)).toMatchObject({ total: expected.length });
    const { id } = await replay({ selection, eventsPerSecond: 100_000 });
    await fixture.emit({
      eventType: 'thing.even',
      tenantId: 'tenant 0',
      entityKey: 'entity 1',
      payload: '0',
    });
    const done = await reaches(id, ({ state }) => state === 'done');
    expect(done).toMatchObject({ total: expected.length, delivered: expected.length, rejected: 0 });
    await sink.has(1_001 + expected.length);
    const again = sink.events.filter(({ event }) => event.replay !== undefined);
    expect(numbers(again)).toEqual(expected);
    expect(new Set(again.map(({ event }) => event.replay))).toEqual(new Set([id]));
    await other.has(1_001);
    expect(other.events.filter(({ event }) => event.replay !== undefined)).toEqual([]);
    expect(other.events).toHaveLength(1_001);
  });

  test('goes on where it was after its relay is stopped in the middle, and counts each event once', async () => {
    const sink = new Consumer();
    await running([sink], 600);
    const { id } = await replay({ eventsPerSecond: 1_000 });
    await reaches(id, ({ delivered }) => delivered > 100);
    await fixture.stopRelays();
    const stopped = await getReplay(fixture.pool, { relay: fixture.slot, id });
    expect(stopped.state).toBe('running');
    await fixture.relay([sink.source], { source, pollMs: 20 }).start();
    expect(await reaches(id, ({ state }) => state === 'done')).toMatchObject({ total: 600, delivered: 600 });
    const again = numbers(sink.events.filter(({ event }) => event.replay !== undefined));
    expect(again).toEqual(Array.from({ length: 600 }, (_, index) => index + 1));
  });

  test('a process that dies hands over again what was not written down, and counts nothing twice', async () => {
    const sink = new Consumer();
    await running([sink], 400);
    let lost = false;
    sink.gate = ({ event }) => {
      if (event.replay === undefined || Number(event.payload.toString()) !== 250 || lost) return;
      lost = true;
      throw new Error('gone');
    };
    // As after a kill: nothing of the last moments was written.
    const { id } = await replay({ eventsPerSecond: 2_000 });
    await reaches(id, ({ delivered }) => delivered > 50);
    await fixture.rows(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name like '%relay%' and datname = current_database()",
    );
    expect(await reaches(id, ({ state }) => state === 'done')).toMatchObject({ delivered: 400, rejected: 0 });
    const again = numbers(sink.events.filter(({ event }) => event.replay === id));
    expect(new Set(again).size).toBe(400);
    expectOrder(again);
  });

  test('its events are those that were committed when it was made, whatever their numbers; single ones by their ids', async () => {
    const sink = new Consumer();
    const late = await fixture.database.connect();
    await late.query('begin');
    const missed = await fixture.emit({ payload: '0' }, late);
    await running([sink], 250);
    const { id } = await replay({ eventsPerSecond: 10_000 });
    await late.query('commit');
    await late.end();
    expect(await reaches(id, ({ state }) => state === 'done')).toMatchObject({ total: 250, delivered: 250 });
    const eventIds = sink.events.map(({ event }) => event.eventId).filter((each) => each !== missed);
    const single = [...new Set(eventIds)].toReversed();
    const byId = await replay({ selection: { eventIds: single }, eventsPerSecond: 2_000 });
    await reaches(byId.id, ({ state }) => state === 'done');
    const of = (job: string): number[] => numbers(sink.events.filter(({ event }) => event.replay === job));
    const all = Array.from({ length: 250 }, (_, index) => index + 1);
    expect([of(id), of(byId.id)]).toEqual([all, all]);
    // Where they stood is forgotten, which they were is not; so it is when one is cancelled, not while it is paused.
    const cancelled = await replay({ selection: { eventIds: single }, eventsPerSecond: 1 });
    const kept = async (job: string): Promise<unknown> =>
      (
        await fixture.rows<{ keys: unknown }>(
          'select array(select jsonb_object_keys(selection)) as keys from event_runtime.replay where replay_id = $1',
          [job],
        )
      )[0]?.keys;
    const job = { relay: fixture.slot, id: cancelled.id };
    await setReplayState(fixture.pool, { ...job, state: 'paused' });
    expect(await kept(cancelled.id)).toEqual(['seqs', 'eventIds']);
    await setReplayState(fixture.pool, { ...job, state: 'cancelled' });
    expect([await kept(cancelled.id), await kept(byId.id)]).toEqual([['eventIds'], ['eventIds']]);
  });

  test('of a time: from its first moment on, up to its last one without that', async () => {
    const sink = new Consumer();
    await running([sink], 1);
    for (let n = 2; n <= 6; n += 1) await fixture.emit({ payload: String(n) });
    await sink.has(6);
    const recorded = await fixture.rows<{ at: string }>(
      `select to_char(recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at
         from event_runtime.outbox order by seq`,
    );
    const [from, before] = [recorded[2]?.at ?? '', recorded[4]?.at ?? ''];
    const { id } = await replay({ selection: { from, before }, eventsPerSecond: 1_000 });
    expect(await reaches(id, ({ state }) => state === 'done')).toMatchObject({ total: 2, delivered: 2 });
    expect(numbers(sink.events.filter(({ event }) => event.replay === id))).toEqual([3, 4]);
  });

  test('hands over no more a second than it may; what it was late for it makes up a fifth of a second at most', async () => {
    const sink = new Consumer();
    const [events, rate] = [120, 100];
    await running([sink], events);
    const came: number[] = [];
    sink.gate = ({ event }) => void (event.replay === undefined || came.push(performance.now()));
    const { id } = await replay({ eventsPerSecond: rate });
    expect(await reaches(id, ({ state }) => state === 'done')).toMatchObject({ delivered: events });
    // A machine that stands still makes it longer, never shorter.
    const seconds = ((came.at(-1) ?? 0) - (came[0] ?? 0)) / 1_000;
    const atOnce = 2;
    expect(seconds).toBeGreaterThan((events - atOnce) / rate - 0.2 - 0.05);
  });

  test('waits until the sink has had its events in their own turn', async () => {
    const sink = new Consumer();
    await running([sink], 1);
    const waits = deferred();
    sink.gate = async ({ event }) => (event.payload.toString() === '2' ? await waits.promise : undefined);
    await fixture.emit({ payload: '2' });
    await fixture.emit({ payload: '3', entityKey: 'another' });
    const { id } = await replay({ eventsPerSecond: 1_000 });
    expect(await reaches(id, ({ waitsFor }) => waitsFor === 'sink')).toMatchObject({
      delivered: 0,
      trouble: null,
    });
    const { replays } = await relayReport(fixture.pool, { relay: fixture.slot, slot: fixture.slot });
    expect(replays).toMatchObject([{ id, waitsFor: 'sink', trouble: null }]);
    waits.resolve();
    expect(await reaches(id, ({ state }) => state === 'done')).toMatchObject({
      delivered: 3,
      waitsFor: null,
    });
    const marks = sink.events.map(
      ({ event }) => `${event.payload.toString()}${event.replay === id ? ' again' : ''}`,
    );
    expect(marks.slice(0, 3).toSorted()).toEqual(['1', '2', '3']);
  });

  test('says what keeps it: an older one, a pause, no relay, or one that does not feed its sink', async () => {
    const sink = new Consumer();
    await running([sink], 30);
    const first = await replay({ eventsPerSecond: 1 });
    const second = await replay({ eventsPerSecond: 1_000 });
    const expectWaits = async (...expected: unknown[]): Promise<void> => {
      const listed = await listReplays(fixture.pool, { relay: fixture.slot });
      expect(listed.toReversed().map(({ waitsFor }) => waitsFor)).toEqual(expected);
    };
    await expectWaits(null, 'replay');
    await fixture.rows('update event_runtime.relay_checkpoint set paused_at = now()');
    await expectWaits('resume', 'resume');
    await fixture.rows('update event_runtime.relay_checkpoint set paused_at = null');
    await reaches(first.id, ({ delivered }) => delivered > 0);
    await fixture.stopRelays();
    await expectWaits('relay', 'relay');
    const { delivered } = await getReplay(fixture.pool, { relay: fixture.slot, id: first.id });
    await fixture.rows(
      "update event_runtime.replay_part set updated_at = now() - interval '1 hour' where replay_id = $1",
      [first.id],
    );
    await fixture.rows("update event_runtime.replay set changed_at = now() - interval '1 hour'");
    const { replays } = await relayReport(fixture.pool, { relay: fixture.slot, slot: fixture.slot });
    expect(replays).toMatchObject([
      { id: first.id, sink: 'consumer', remainingEvents: 30 - delivered, waitsFor: 'relay', trouble: null },
      { id: second.id, remainingEvents: 30, waitsFor: 'relay' },
    ]);
    expect(replays.map(({ stalledSeconds }) => stalledSeconds > 3_500)).toEqual([true, false]);
    const stranger = fixture.relay([new Consumer('other').source], { source, pollMs: 20 });
    await stranger.start();
    await expectWaits('feed', 'feed');
    await stranger.stop();
    await fixture.relay([sink.source], { source, pollMs: 20 }).start();
    await setReplayState(fixture.pool, { relay: fixture.slot, id: first.id, state: 'cancelled' });
    expect(await reaches(second.id, ({ state }) => state === 'done')).toMatchObject({ waitsFor: null });
  });

  test('what was cancelled while its sink was paused does not come when that goes on; and a fitting one is next', async () => {
    const sink = new Consumer();
    await running([sink], 30);
    const misfit = await replay({ shards: 3 });
    await reaches(misfit.id, ({ trouble }) => trouble === 'ER6006');
    await fixture.rows('update event_runtime.relay_checkpoint set paused_at = now()');
    const { id } = await replay();
    await fixture.logged('relay.replay.begun');
    await setReplayState(fixture.pool, { relay: fixture.slot, id, state: 'cancelled' });
    const next = await replay({ selection: { entityKey: 'entity 0' } });
    await eventually(
      async () => fixture.logs.filter(({ replay: of }) => of === next.id).length,
      (count) => count > 0,
    );
    await fixture.rows('update event_runtime.relay_checkpoint set paused_at = null');
    await reaches(next.id, ({ state }) => state === 'done');
    expect(new Set(sink.events.slice(30).map(({ event }) => event.replay))).toEqual(new Set([next.id]));
  });

  test('is paused, goes on and is cancelled; when it is over it stays so', async () => {
    const sink = new Consumer();
    await running([sink], 300);
    const { id } = await replay({ eventsPerSecond: 200 });
    await reaches(id, ({ delivered }) => delivered > 0);
    const at = { relay: fixture.slot, id };
    expect(await setReplayState(fixture.pool, { ...at, state: 'paused' })).toMatchObject({ changed: true });
    expect(await setReplayState(fixture.pool, { ...at, state: 'paused' })).toMatchObject({ changed: false });
    const settled = await eventually(
      async () => {
        const before = (await getReplay(fixture.pool, at)).delivered;
        await sleep(150);
        return [before, (await getReplay(fixture.pool, at)).delivered] as const;
      },
      ([before, after]) => before === after,
    );
    expect(settled[1]).toBeLessThan(300);
    await setReplayState(fixture.pool, { ...at, state: 'running' });
    await reaches(id, ({ delivered }) => delivered > settled[1]);
    await setReplayState(fixture.pool, { ...at, state: 'cancelled' });
    const cancelled = setReplayState(fixture.pool, { ...at, state: 'running' });
    await expect(cancelled).rejects.toMatchObject({ code: 'ER6004' });
    const next = await replay({ selection: { type: 'nothing' } });
    expect(next).toMatchObject({ state: 'done', total: 0 });
    const over = setReplayState(fixture.pool, { ...at, id: next.id, state: 'cancelled' });
    await expect(over).rejects.toMatchObject({ code: 'ER6004' });
    const unknown = setReplayState(fixture.pool, { ...at, id: 'x', state: 'cancelled' });
    await expect(unknown).rejects.toMatchObject({ code: 'ER6003' });
  });

  test('what the sink refuses is a dead letter; what it fails for is tried again, in order, while live events go on', async () => {
    const sink = new Consumer();
    const refuses = { filter: refusesNine, onError: 'dead-letter' } as const;
    await running([sink], 30, [{ to: ['consumer'], ...refuses }]);
    let broken = true;
    sink.gate = ({ event }) => {
      if (event.replay !== undefined && event.payload.toString() === '7' && broken) throw new Error('later');
    };
    const { id } = await replay({ eventsPerSecond: 1_000 });
    await reaches(id, ({ trouble }) => trouble === 'Error');
    await fixture.emit({ payload: '31' });
    await sink.has(31);
    // It can be ended while it is in trouble.
    await setReplayState(fixture.pool, { relay: fixture.slot, id, state: 'paused' });
    await setReplayState(fixture.pool, { relay: fixture.slot, id, state: 'running' });
    broken = false;
    const done = await reaches(id, ({ state }) => state === 'done');
    expect(done).toMatchObject({ total: 30, delivered: 29, rejected: 1, trouble: null });
    const again = numbers(sink.events.filter(({ event }) => event.replay === id));
    expectOrder(again);
    expect(new Set(again).size).toBe(29);
    const letters = await fixture.rows<{ payload: number }>('select payload from event_runtime.dead_letter');
    expect(letters).toEqual([{ payload: 9 }]);
  });
});

/** The order of each entity, by the first time that an event came. */
function expectOrder(handed: readonly number[]): void {
  for (const entity of [0, 1, 2, 3, 4, 5]) {
    const firsts = [...new Set(handed.filter((n) => n % 6 === entity))];
    expect(firsts).toEqual(firsts.toSorted((a, b) => a - b));
  }
}

function refusesNine({ replay, payload }: RoutableEvent): boolean {
  if (replay !== null && payload.toString() === '9') throw new RangeError('nine');
  return true;
}
