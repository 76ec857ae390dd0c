import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { eventually } from '../../replication/stream-fixture.suite.ts';
import { Picky, redriveLetters } from '../picky-consumer.suite.ts';
import type { SinkSource } from '../relay.ts';
import { RelayFixture } from '../relay-fixture.suite.ts';
import { createReplay, getReplay } from '../replay/replay-jobs.ts';

// On 15: redriver.pg.test.ts.
describe('where later events wait behind a letter, PostgreSQL 18', () => {
  let fixture: RelayFixture;
  let sink: Picky;
  beforeEach(async () => {
    fixture = await RelayFixture.create(inject('postgres')['18']);
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

  const waiting = (): SinkSource => ({ ...sink.source, afterDeadLetter: 'wait' });
  const dead = async (): Promise<string> =>
    (
      await fixture.rows<{ text: string }>(
        `select string_agg(event_type || ' ' || reason_code || ' ' || state, ', ' order by seq) as text
         from event_runtime.dead_letter`,
      )
    )[0]?.text ?? '';
  const deadIs = async (text: string): Promise<void> => {
    await eventually(dead, (now) => now === text);
  };

  test('they are kept behind the letter, over a crash, and come in order once it is redriven; others go on', async () => {
    const first = fixture.relay([waiting()]);
    await first.start();
    await fixture.sql.query('begin');
    for (const eventType of ['poison', 'two', 'three']) await fixture.emit({ eventType });
    await fixture.emit({ eventType: 'other', entityKey: 'other' });
    await fixture.sql.query('commit');
    await deadIs('poison rejected dead, two waits dead, three waits dead');
    await eventually(
      async () => sink.types.join(),
      (types) => types === 'other',
    );
    // What was not written down before the crash comes again.
    const seen = (): readonly string[] => [...new Set(sink.types)];
    await first.stop({ graceMs: 0 });
    const relay = fixture.relay([waiting()]);
    await fixture.emit({ eventType: 'four' });
    await relay.start();
    await eventually(async () => (await dead()).endsWith('four waits dead'), Boolean);
    // Refused once more, it keeps them.
    await redrive("event_type = 'poison'");
    await eventually(letters, ([one]) => one?.attempts === 2 && one.state === 'dead');
    await fixture.emit({ eventType: 'five' });
    await eventually(
      async () => (await letters()).length,
      (count) => count === 5,
    );
    expect(seen()).toEqual(['other']);
    sink.refuses = () => false;
    await redrive("event_type = 'poison'");
    await fixture.emit({ eventType: 'six' });
    await eventually(
      async () => seen().length,
      (count) => count === 7,
    );
    expect(seen()).toEqual(['other', 'poison', 'two', 'three', 'four', 'five', 'six']);
    await lettersAre(0);
  });

  test('behind one that is turned away they are letters too, and come in order', async () => {
    await fixture.relay([waiting()]).start();
    await fixture.emit({ eventType: 'poison' });
    await deadIs('poison rejected dead');
    sink.refuses = () => false;
    sink.gate = () => {
      throw new Error('not yet');
    };
    await redrive();
    await eventually(
      async () => sink.handed.length,
      (count) => count > 2,
    );
    await fixture.emit({ eventType: 'two' });
    await eventually(dead, (now) => now.includes('two waits'));
    sink.gate = () => undefined;
    await fixture.emit({ eventType: 'three' });
    await sink.has(3);
    expect(sink.types).toEqual(['poison', 'two', 'three']);
    await lettersAre(0);
  });

  describe('letters that a replay caused', () => {
    const replayed = ['one', 'two'];
    beforeEach(async () => {
      sink.refuses = () => false;
      const first = fixture.relay([waiting()]);
      await first.start();
      for (const eventType of replayed) await fixture.emit({ eventType });
      await sink.has(2);
      sink.refuses = (type) => replayed.includes(type);
      const relay = fixture.slot;
      const { id } = await createReplay(fixture.pool, { relay, sink: 'picky', selection: {} });
      await eventually(
        async () => await getReplay(fixture.pool, { relay, id }),
        ({ state }) => state === 'done',
      );
      await deadIs('one rejected dead, two rejected dead');
      await first.stop();
      // The next one feeds nothing before it has looked for letters.
      await fixture.relay([waiting()]).start();
      sink.events.length = 0;
    });

    test('hold nothing back while they are dead, not even letters; those of what happened do', async () => {
      await fixture.emit({ eventType: 'three' });
      await sink.has(1);
      sink.refuses = (type) => type !== 'five' && type !== 'six';
      await fixture.emit({ eventType: 'four' });
      await fixture.emit({ eventType: 'five' });
      await deadIs('one rejected dead, two rejected dead, four rejected dead, five waits dead');
      sink.refuses = (type) => replayed.includes(type);
      await redrive("event_type = 'four'");
      await fixture.emit({ eventType: 'six' });
      await sink.has(4);
      expect(sink.types).toEqual(['three', 'four', 'five', 'six']);
      await deadIs('one rejected dead, two rejected dead');
    });

    test('come in order when they are redriven, before what is newer, which waits for one that is turned away', async () => {
      sink.refuses = () => false;
      sink.gate = ({ event }) => {
        if (event.eventType === 'one') throw new Error('not yet');
      };
      sink.handed.length = 0;
      await redrive();
      await eventually(
        async () => sink.handed.length,
        (count) => count > 2,
      );
      await fixture.emit({ eventType: 'three' });
      await eventually(dead, (now) => now.includes('three waits'));
      expect(sink.types).toEqual([]);
      sink.gate = () => undefined;
      await sink.has(3);
      expect(sink.events.map(({ event }) => [event.eventType, event.replay !== undefined])).toEqual([
        ['one', true],
        ['two', true],
        ['three', false],
      ]);
      await lettersAre(0);
    });

    test('that are refused again let go what waited for them, and letters behind them', async () => {
      sink.refuses = (type) => type === 'one';
      await redrive();
      await deadIs('one rejected dead');
      await fixture.emit({ eventType: 'three' });
      await sink.has(2);
      expect(sink.types).toEqual(['two', 'three']);
    });
  });

  test('none passes a letter, whenever one is kept or redriven', async () => {
    await fixture.relay([waiting()]).start();
    const client = await fixture.database.connect();
    const flowing = new AbortController();
    const flow = (async () => {
      for (let n = 0; !flowing.signal.aborted; n += 1) {
        await fixture.emit({ eventType: n % 300 === 50 ? 'poison' : 'live', entityKey: 'e' }, client);
      }
      await fixture.emit({ eventType: 'last', entityKey: 'e' }, client);
    })();
    for (let round = 0; round < 4; round += 1) {
      sink.refuses = (type) => type === 'poison';
      await eventually(letters, ({ length }) => length > 20);
      sink.refuses = () => false;
      await redrive("reason_code = 'rejected'");
      await eventually(letters, ({ length }) => length < 5);
    }
    flowing.abort();
    await flow;
    await eventually(async () => sink.types.includes('last'), Boolean);
    const seqs = sink.events.map(({ event }) => Number(event.seq));
    expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
    expect(seqs.length).toBe((await fixture.rows('select from event_runtime.outbox')).length);
  });

  test('they come when it is discarded; and where nothing waits any more, at once', async () => {
    const relay = fixture.relay([waiting()]);
    await relay.start();
    for (const eventType of ['poison-1', 'two']) await fixture.emit({ eventType });
    for (const eventType of ['poison-2', 'three']) await fixture.emit({ eventType, entityKey: 'other' });
    await eventually(
      async () => (await letters()).length,
      (count) => count === 4,
    );
    await fixture.rows("delete from event_runtime.dead_letter where event_type = 'poison-1'");
    await sink.has(1);
    expect(sink.types).toEqual(['two']);
    await relay.stop();
    await fixture.relay([sink.source]).start();
    await sink.has(2);
    expect(sink.types).toEqual(['two', 'three']);
    await deadIs('poison-2 rejected dead');
  });
});
