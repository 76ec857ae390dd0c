import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { entityOf } from '../../log/outbox-event.ts';
import { eventually } from '../../replication/stream-fixture.suite.ts';
import { loggedEvent } from '../feed/event-fixture.suite.ts';
import { RelayFixture } from '../relay-fixture.suite.ts';
import { entitiesLeft, entitiesWithLetters, releaseLetters } from './redrive-letters.ts';

let fixture: RelayFixture;
beforeAll(async () => {
  fixture = await RelayFixture.create(inject('postgres')['18']);
});
afterAll(async () => {
  await fixture[Symbol.asyncDispose]();
});

const first = '00000000-0000-7000-8000-000000000001';
const second = '00000000-0000-7000-8000-000000000002';

test.each([true, false])(
  'letters that waited are set going in one order of locks, wherever they are stored: others wait behind them: %s',
  async (waits) => {
    await fixture.rows('delete from event_runtime.dead_letter');
    // One table page: the scan below finds the second one first.
    await fixture.rows(
      `insert into event_runtime.dead_letter
         (dead_letter_id, tenant_id, relay, sink, event_id, event_recorded_at, seq, entity_key, event_type, reason_code,
          reason, attempts, payload, event_version)
       select id, 'acme', 'ours', 'picky', id, now(), place, 'e' || place, 't', 'waits', 'r', 1, '{}', 1
         from unnest($1::uuid[]) with ordinality as x (id, place) order by place`,
      [[second, first]],
    );
    const [operator, relay] = [await fixture.pool.connect(), await fixture.pool.connect()];
    const lock = 'select from event_runtime.dead_letter where dead_letter_id = $1 for update';
    try {
      await relay.query(
        'set enable_indexscan = off; set enable_bitmapscan = off; set enable_indexonlyscan = off',
      );
      const [self] = (await relay.query<{ pid: number }>('select pg_backend_pid() as pid')).rows;
      await operator.query('begin');
      await operator.query(lock, [first]);
      const releasing = releaseLetters(relay, { relay: 'ours', sink: 'picky', shard: undefined, waits });
      await eventually(
        async () =>
          await fixture.rows('select from unnest(pg_blocking_pids($1)) as blocking (pid)', [self!.pid]),
        ({ length }) => length > 0,
      );
      await operator.query(lock, [second]);
      await operator.query('commit');
      expect(await releasing).toBe(true);
      const states = await fixture.rows('select state from event_runtime.dead_letter');
      expect(states).toEqual([{ state: 'redriving' }, { state: 'redriving' }]);
    } finally {
      operator.release(true);
      relay.release(true);
    }
  },
);

test('a dead letter of an entity keeps what is newer waiting, unless a replay caused it; one that is redriven always', async () => {
  await fixture.rows('delete from event_runtime.dead_letter');
  await fixture.rows(
    `insert into event_runtime.dead_letter
       (tenant_id, relay, sink, event_id, event_recorded_at, seq, entity_key, event_type, reason_code, reason, attempts,
        payload, event_version, state, replay_id)
     select 'acme', 'ours', 'picky', gen_random_uuid(), now(), seq, entity, 't', 'rejected', 'r', 1, '{}', 1, state,
            case when replayed then gen_random_uuid() end
       from (values (1, 'live', 'dead', false), (2, 'replayed', 'dead', true), (3, 'asked', 'redriving', true),
                    (4, 'mixed', 'redriving', false), (5, 'mixed', 'dead', true)) as x (seq, entity, state, replayed)`,
  );
  const of = { relay: 'ours', sink: 'picky', shard: undefined, waits: true };
  const logged = ['live', 'replayed', 'asked', 'mixed', 'none'].map((entity, index) =>
    loggedEvent(index, { entity, event: { tenantId: 'acme' } }),
  );
  const [live, , asked, mixed] = logged.map(({ event }) => entityOf(event));
  const letters = logged.map((each, index) => ({ id: String(index), attempts: 1, logged: each }));
  expect(await entitiesWithLetters(fixture.pool, of)).toEqual({
    dead: new Set([live]),
    redriving: new Set([asked, mixed]),
  });
  expect(await entitiesLeft(fixture.pool, { ...of, letters })).toEqual(new Set([live, asked, mixed]));
});
