import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { deferred } from '../../internal/deferred.ts';
import { eventually } from '../../replication/stream-fixture.suite.ts';
import { Picky, redriveLetters } from '../picky-consumer.suite.ts';
import { Consumer, RelayFixture } from '../relay-fixture.suite.ts';
import { createReplay } from '../replay/replay-jobs.ts';

// On 18: redriver-wait.pg.test.ts, redriver-held-back.pg.test.ts, and while everything is killed (crash).
describe('PostgreSQL 15', () => {
  let fixture: RelayFixture;
  let sink: Picky;
  beforeEach(async () => {
    fixture = await RelayFixture.create(inject('postgres')['15']);
    sink = new Picky('picky');
  });
  afterEach(async () => {
    await fixture[Symbol.asyncDispose]();
  });

  const letters = async (): Promise<Array<{ type: string; state: string; attempts: number }>> =>
    await fixture.rows(
      'select event_type as type, state, attempts from event_runtime.dead_letter order by seq',
    );
  const lettersAre = async (count: number): Promise<void> => {
    await eventually(letters, ({ length }) => length === count);
  };
  const redrive = async (where?: string): Promise<void> => await redriveLetters(fixture, where);

  test('letters come in their order while live events flow, and are gone then', async () => {
    const relay = fixture.relay([sink.source]);
    await relay.start();
    for (const n of [1, 2, 3]) {
      for (const entityKey of ['a', 'b'])
        await fixture.emit({ eventType: `poison-${entityKey}${n}`, entityKey });
    }
    await fixture.emit({ eventType: 'poison-free', entityKey: null, payload: ' { "x": 1.0 }' });
    await lettersAre(7);
    await fixture.live(relay);
    sink.refuses = () => false;
    sink.events.length = 0;
    const flowing = new AbortController();
    const flow = (async () => {
      for (let n = 0; !flowing.signal.aborted; n += 1)
        await fixture.emit({ eventType: 'live', entityKey: `k${n % 3}` });
    })();
    await redrive();
    await lettersAre(0);
    flowing.abort();
    await flow;
    const got = sink.types.filter((type) => type !== 'live');
    expect(got.toSorted()).toEqual([
      'poison-a1',
      'poison-a2',
      'poison-a3',
      'poison-b1',
      'poison-b2',
      'poison-b3',
      'poison-free',
    ]);
    expect(got.filter((type) => type.startsWith('poison-a'))).toEqual([
      'poison-a1',
      'poison-a2',
      'poison-a3',
    ]);
    const free = sink.events.find(({ event }) => event.eventType === 'poison-free');
    expect(free?.event.payload.toString()).toBe(' { "x": 1.0 }');
    // Nothing of what flowed was lost or held up for good.
    const [emitted] = await fixture.rows<{ count: number }>(
      "select count(*)::int from event_runtime.outbox where event_type = 'live'",
    );
    await eventually(
      async () => sink.types.filter((type) => type === 'live').length,
      (count) => count === emitted?.count,
    );
  });

  test.each(['continue', 'wait'] as const)(
    'letters that replays caused have their marks again, each batch of one replay, in the order of their entity: %s',
    async (afterDeadLetter) => {
      sink.refuses = () => false;
      await fixture.relay([{ ...sink.source, afterDeadLetter }]).start();
      for (const n of [1, 2, 3, 4, 5]) await fixture.emit({ eventType: `thing-${n}`, entityKey: 'e' });
      await sink.has(5);
      sink.refuses = () => true;
      const marks: string[] = [];
      for (const type of ['thing-1', 'thing-2', 'thing-4']) {
        const selection = { type };
        const { id } = await createReplay(fixture.pool, { relay: fixture.slot, sink: 'picky', selection });
        marks.push(id);
        await lettersAre(marks.length);
      }
      // As if they had been refused when they happened.
      await fixture.rows(
        `insert into event_runtime.dead_letter
           (tenant_id, relay, sink, event_id, event_recorded_at, seq, entity_key, event_type, event_version, reason_code, reason, attempts, payload)
         select tenant_id, $1, 'picky', event_id, recorded_at, seq, entity_key, event_type, event_version, 'rejected', 'r', 1, payload
           from event_runtime.outbox where event_type in ('thing-3', 'thing-5')`,
        [fixture.slot],
      );
      sink.refuses = () => false;
      sink.events.length = 0;
      let tries = 0;
      sink.gate = ({ event }) => {
        if (event.eventType === 'thing-2' && (tries += 1) < 3) throw new Error('not yet');
      };
      await redrive();
      await lettersAre(0);
      const got = sink.events.map(({ event }) => [event.eventType, event.replay]);
      expect(got).toEqual([
        ['thing-1', marks[0]],
        ['thing-2', marks[1]],
        ['thing-3', undefined],
        ['thing-4', marks[2]],
        ['thing-5', undefined],
      ]);
      expect(sink.mixed).toBe(0);
    },
  );

  test.each(['wal', 'table'] as const)(
    'what the sink turns away holds back later letters and later events of its entity, no others, also after a crash: %s',
    async (source) => {
      const options = { source };
      const first = fixture.relay([sink.source], options);
      await first.start();
      await fixture.emit({ eventType: 'poison-1' });
      await fixture.emit({ eventType: 'poison-2' });
      await fixture.emit({ eventType: 'poison-o', entityKey: 'other' });
      await lettersAre(3);
      sink.refuses = () => false;
      sink.events.length = 0;
      sink.handed.length = 0;
      sink.gate = ({ event }) => {
        if (event.eventType === 'poison-1') throw new Error('not yet');
      };
      await redrive();
      await eventually(async () => sink.handed.includes('poison-1'), Boolean);
      await fixture.emit({ eventType: 'later' });
      await fixture.emit({ eventType: 'elsewhere', entityKey: 'third' });
      await eventually(
        async () => sink.types.toSorted().join(),
        (types) => types === 'elsewhere,poison-o',
      );
      await first.stop({ graceMs: 0 });
      const second = fixture.relay([sink.source], options);
      await second.start();
      await fixture.emit({ eventType: 'last', entityKey: 'fourth' });
      await eventually(async () => sink.types.includes('last'), Boolean);
      expect(sink.types).not.toContain('later');
      expect(sink.types).not.toContain('poison-2');
      sink.gate = () => undefined;
      await eventually(async () => sink.types.includes('later'), Boolean);
      const own = sink.events
        .filter(({ event }) => event.entityKey === 'entity')
        .map(({ event }) => event.eventType);
      expect(own).toEqual(['poison-1', 'poison-2', 'later']);
      await lettersAre(0);
    },
  );

  test('letters that cannot be read hold up their sink alone, until they can be', async () => {
    const first = fixture.relay([sink.source]);
    await first.start();
    await fixture.emit({ eventType: 'poison' });
    await lettersAre(1);
    await first.stop();
    sink.refuses = () => false;
    await redrive();
    await fixture.rows(
      `create function public.readable(sink text) returns boolean language plpgsql as $$
       begin
         if sink = 'picky' and current_query() like 'fetch%' then raise 'too many letters'; end if;
         return true;
       end $$`,
    );
    await fixture.rows(
      'create policy readable on event_runtime.dead_letter as restrictive for select using (public.readable(sink))',
    );
    const other = new Consumer('other');
    const second = fixture.relay([sink.source, other.source]);
    await second.start();
    await fixture.emit({ eventType: 'later' });
    await other.has(2);
    // So often that what is fed would have come.
    await eventually(
      async () => fixture.logs.filter(({ event }) => event === 'relay.redrive.failed').length,
      (count) => count >= 4,
    );
    expect(second.status.map(({ trouble }) => String(trouble))).toEqual([
      expect.stringContaining('too many letters'),
      'undefined',
    ]);
    expect(fixture.logs.map(({ event }) => event)).not.toContain('relay.reconnecting');
    expect(sink.types).toEqual([]);
    await fixture.rows('drop policy readable on event_runtime.dead_letter');
    await sink.has(2);
    expect(sink.types).toEqual(['poison', 'later']);
    expect(second.status[0]?.trouble).toBeUndefined();
  });

  test('refused again it is dead again, with its first time and all attempts, and what waited goes on', async () => {
    const relay = fixture.relay([sink.source]);
    await relay.start();
    await fixture.emit({ eventType: 'poison-1' });
    await lettersAre(1);
    await fixture.rows("update event_runtime.dead_letter set first_failed_at = '2026-01-01Z'");
    await redrive();
    await eventually(letters, ([one]) => one?.state === 'dead' && one.attempts === 2);
    const [row] = await fixture.rows(
      "select first_failed_at = '2026-01-01Z' as kept, redrives, dead_at > now() - interval '1 min' as now from event_runtime.dead_letter",
    );
    expect(row).toEqual({ kept: true, redrives: 1, now: true });
    await fixture.emit({ eventType: 'later' });
    await sink.has(1);
  });

  test('a letter that is discarded while it is turned away lets its entity go on', async () => {
    const relay = fixture.relay([sink.source]);
    await relay.start();
    await fixture.emit({ eventType: 'poison-1' });
    await lettersAre(1);
    sink.refuses = () => false;
    sink.gate = ({ event }) => {
      if (event.eventType === 'poison-1') throw new Error('never');
    };
    await redrive();
    await eventually(
      async () => sink.handed.filter((type) => type === 'poison-1').length,
      (count) => count > 1,
    );
    // It is said which one it is, and why.
    const [letter] = await fixture.rows<{ eventId: string }>(
      'select event_id as "eventId" from event_runtime.dead_letter',
    );
    expect(relay.status[0]?.waiting).toEqual({ ...letter, since: expect.any(Date) });
    expect(relay.status[0]?.trouble).toMatchObject({ message: 'never' });
    await fixture.emit({ eventType: 'later' });
    await fixture.rows('delete from event_runtime.dead_letter');
    await sink.has(1);
    expect(sink.types).toEqual(['later']);
    await eventually(
      async () => relay.status[0]?.waiting,
      (waiting) => waiting === undefined,
    );
  });

  test('one that is discarded while it is on its way stays away, though it is refused', async () => {
    await fixture.relay([sink.source]).start();
    await fixture.emit({ eventType: 'poison' });
    await lettersAre(1);
    const answers = deferred();
    sink.answers = answers.promise;
    await redrive();
    await eventually(
      async () => sink.handed.length,
      (count) => count === 2,
    );
    await fixture.rows('delete from event_runtime.dead_letter');
    answers.resolve();
    await fixture.emit({ eventType: 'later' });
    await sink.has(1);
    expect(await letters()).toEqual([]);
  });

  test('a relay that is stopped waits for what is on its way: nothing is repeated; times are as ever, in any style', async () => {
    await fixture.rows(`alter database ${fixture.database.name} set datestyle = 'SQL, DMY'`);
    const first = fixture.relay([sink.source]);
    await first.start();
    for (const entityKey of ['a', 'b', 'c']) await fixture.emit({ eventType: 'poison', entityKey });
    await lettersAre(3);
    sink.refuses = () => false;
    const answers = deferred();
    sink.answers = answers.promise;
    await redrive();
    await sink.has(3);
    const stopping = first.stop();
    answers.resolve();
    await stopping;
    await lettersAre(0);
    await fixture.relay([sink.source]).start();
    await fixture.emit({ eventType: 'last' });
    await sink.has(4);
    expect(sink.types).toEqual(['poison', 'poison', 'poison', 'last']);
    const recorded = await fixture.rows<{ at: string }>(
      "select (recorded_at at time zone 'UTC')::text || '+00' as at from event_runtime.outbox order by seq",
    );
    expect(sink.events.map(({ event }) => event.recordedAt)).toEqual(recorded.map(({ at }) => at));
  });
});
