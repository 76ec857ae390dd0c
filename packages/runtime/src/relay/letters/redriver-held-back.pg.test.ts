import type { Pool } from 'pg';
import { afterAll, afterEach, beforeAll, expect, inject, test, vi } from 'vitest';
import { redriveObstacles } from '../../dead-letters/obstacles.ts';
import { requestRedrive } from '../../dead-letters/redrive.ts';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import { eventually } from '../../replication/stream-fixture.suite.ts';
import type { DeliveryResult, Sink } from '../../sinks/sink.ts';
import { silentLogger } from '../../telemetry/logger.ts';
import type { Feed } from '../feed/feed.ts';
import { Consumer, RelayFixture } from '../relay-fixture.suite.ts';
import { Redriver } from './redriver.ts';

let fixture: RelayFixture;
beforeAll(async () => {
  fixture = await RelayFixture.create(inject('postgres')['18']);
});
afterAll(async () => {
  await fixture[Symbol.asyncDispose]();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await fixture.rows('delete from event_runtime.dead_letter');
});

/** Letters of a relay's sink, of entities `e1`, `e2` and so on; by default they are to be handed over again. */
async function letters(count: number, { relay = 'ours', state = 'redriving' } = {}): Promise<void> {
  await fixture.rows(
    `insert into event_runtime.dead_letter
       (tenant_id, sink, event_id, event_recorded_at, seq, entity_key, event_type, reason_code, reason, attempts, payload,
        event_version, state, relay)
     select 'acme', 'picky', gen_random_uuid(), now(), n, 'e' || n, 'of-' || $2::text, 'rejected', 'no', 1, '{}', 1, $3, $2
       from generate_series(1, $1::int) n`,
    [count, relay, state],
  );
}

/** Stands in for a sink's feed: what it holds back, and what is to become of what it is handed. */
class Held {
  entities: ReadonlySet<string> = new Set();
  hand: (events: readonly LoggedEvent[]) => Promise<DeliveryResult | undefined> = async () => ({
    type: 'delivered',
  });

  /** Runs until `over` holds. */
  async until(over: () => boolean, pool: Pick<Pool, 'query' | 'connect'> = fixture.pool): Promise<void> {
    const stop = new AbortController();
    const feed: Pick<Feed, 'sink' | 'parked' | 'handAside' | 'holdBack'> = {
      sink: { name: 'picky' } as Sink,
      parked: undefined,
      holdBack: (entities) => void (this.entities = new Set(entities)),
      handAside: async (events) => {
        const result = await this.hand(events);
        return result && events.map(() => result);
      },
    };
    const redriver = new Redriver({
      feed,
      pool: pool as Pool,
      shard: undefined,
      relay: 'ours',
      onRejected: async () => undefined,
      logger: silentLogger,
    });
    const running = redriver.run({ stopping: stop.signal });
    try {
      await eventually(async () => over(), Boolean);
    } finally {
      stop.abort();
      await running;
    }
  }
}

test('an entity goes on when its letters are taken, while those of others are still handed over', async () => {
  await letters(250);
  const held = new Held();
  const sizes: number[] = [];
  held.hand = async () => {
    sizes.push(held.entities.size);
    return { type: 'delivered' };
  };
  await held.until(() => sizes.length === 3 && held.entities.size === 0);
  expect(sizes).toEqual([250, 150, 50]);
});

test('where it is not known what became of letters, they are handed over again', async () => {
  await letters(3);
  const held = new Held();
  const sizes: number[] = [];
  held.hand = async (events) => {
    sizes.push(events.length);
    return sizes.length === 1 ? undefined : { type: 'delivered' };
  };
  await held.until(() => sizes.length === 2 && held.entities.size === 0);
  expect(sizes).toEqual([3, 3]);
});

test('an entity is held back soon after it was asked for, though a look takes long, and many letters come first', async () => {
  await letters(300);
  const [late] = await fixture.rows<{ id: string; entity: string }>(
    `update event_runtime.dead_letter set state = 'dead' where dead_letter_id = (
       select dead_letter_id from event_runtime.dead_letter
        order by hashtextextended(entity_key, hashtextextended(tenant_id, 0)) desc limit 1
     ) returning dead_letter_id as id, entity_key as entity`,
  );
  let now = performance.now();
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  const held = new Held();
  const seen: Array<{ held: boolean; handed: boolean }> = [];
  held.hand = async (events) => {
    seen.push({
      held: [...held.entities].some((entity) => entity.endsWith(late!.entity)),
      handed: events.some(({ event }) => event.entityKey === late!.entity),
    });
    const client = await fixture.pool.connect();
    if (seen.length === 1) await requestRedrive(client, { ids: [late!.id] }, { by: 'ops' });
    client.release();
    now += 1_000;
    return { type: 'delivered' };
  };
  const connect = async (): Promise<unknown> => {
    // A look takes 20 s; the next one is due in 200.
    if (seen.length === 0) now += 20_000;
    return await fixture.pool.connect();
  };
  const pool = { query: fixture.pool.query.bind(fixture.pool), connect } as unknown as Pool;
  await held.until(() => seen.length === 3 && held.entities.size === 0, pool);
  expect(seen).toEqual([
    { held: false, handed: false },
    { held: true, handed: false },
    { held: true, handed: true },
  ]);
});

test('what was held back for a letter goes on, though the letter is gone before it is found', async () => {
  await letters(1);
  const held = new Held();
  let discarded = false;
  const query = async (...values: Parameters<Pool['query']>): Promise<unknown> => {
    const [given] = values as unknown as [string | { readonly rowMode?: string }];
    if (typeof given !== 'string' && given.rowMode === 'array') {
      expect([...held.entities]).toHaveLength(1);
      await fixture.rows('delete from event_runtime.dead_letter');
      discarded = true;
    }
    return await (fixture.pool.query as (...all: unknown[]) => Promise<unknown>).apply(fixture.pool, values);
  };
  const pool = { query, connect: fixture.pool.connect.bind(fixture.pool) } as unknown as Pool;
  await held.until(() => discarded && held.entities.size === 0, pool);
});

test('a letter that was taken and could not be removed is removed later, and not handed over again', async () => {
  await letters(1);
  const held = new Held();
  let handed = 0;
  held.hand = async () => {
    handed += 1;
    return { type: 'delivered' };
  };
  let failures = 0;
  const query = async (...values: Parameters<Pool['query']>): Promise<unknown> => {
    const [given] = values as unknown as [unknown];
    if (typeof given === 'string' && given.includes('delete from') && (failures += 1) < 3) {
      throw new Error('deadlock detected');
    }
    return await (fixture.pool.query as (...all: unknown[]) => Promise<unknown>).apply(fixture.pool, values);
  };
  const pool = { query, connect: fixture.pool.connect.bind(fixture.pool) } as unknown as Pool;
  await held.until(() => failures === 3 && held.entities.size === 0, pool);
  expect(handed).toBe(1);
  expect(await fixture.rows('select from event_runtime.dead_letter')).toHaveLength(0);
});

test('letters that were taken are gone, though the redrive was taken back meanwhile; one that died since stays', async () => {
  await letters(2);
  const held = new Held();
  held.hand = async () => {
    await fixture.rows(
      `update event_runtime.dead_letter set state = 'dead', attempts = attempts + case seq when 1 then 0 else 1 end`,
    );
    return { type: 'delivered' };
  };
  let handed = false;
  const { hand } = held;
  held.hand = async (events) => {
    const result = await hand(events);
    handed = true;
    return result;
  };
  await held.until(() => handed && held.entities.size === 0);
  const left = await fixture.rows<{ seq: string }>('select seq from event_runtime.dead_letter');
  expect(left.map(({ seq }) => seq)).toEqual(['2']);
});

test('a relay hands over its own letters, and those of one that is gone once they are asked for in its name', async () => {
  const [first, second] = [new Consumer('picky'), new Consumer('picky')];
  for (const [name, consumer] of [
    ['first', first],
    ['second', second],
  ] as const)
    await fixture.relay([consumer.source], { name, source: 'table' }).start();
  for (const relay of ['first', 'second', 'gone', 'renamed']) await letters(1, { relay, state: 'dead' });
  // Of one event, of two that are gone: one relay has room for one of them.
  await fixture.rows(`insert into event_runtime.dead_letter
      (tenant_id, sink, event_id, event_recorded_at, seq, event_type, reason_code, reason, attempts, payload, event_version, relay)
    select tenant_id, sink, event_id, event_recorded_at, seq, 'of-twin', 'rejected', 'no', 1, '{}', 1, 'twin'
      from event_runtime.dead_letter where relay = 'renamed'`);
  // It had such a sink, and may only be stopped.
  await fixture.rows(`insert into event_runtime.relay_checkpoint (relay, sink, epoch, system_identifier, timeline, snapshot)
    select name, 'picky', 1, '1', 1, '3:3:' from unnest(array['renamed', 'twin']) name`);
  const client = await fixture.pool.connect();
  const asked = await requestRedrive(client, {}, { by: 'ops', relay: 'second' });
  await eventually(
    async () =>
      await fixture.rows<{ relay: string }>('select relay from event_runtime.dead_letter order by 1'),
    (rows) => rows.map(({ relay }) => relay).join() === 'renamed,twin',
  );
  expect((await redriveObstacles(client, asked.redriveId)).unfed).toEqual(['picky']);
  await fixture.rows("update event_runtime.dead_letter set state = 'dead'");
  await requestRedrive(client, {}, { by: 'ops', relay: 'second', takeOver: true });
  await eventually(
    async () => await fixture.rows('select from event_runtime.dead_letter'),
    ({ length }) => length === 1,
  );
  await requestRedrive(client, {}, { by: 'ops', relay: 'second' });
  await fixture.rows("update event_runtime.dead_letter set state = 'dead'");
  await requestRedrive(client, {}, { by: 'ops', relay: 'second', takeOver: true });
  client.release();
  await eventually(
    async () => await fixture.rows('select from event_runtime.dead_letter'),
    ({ length }) => length === 0,
  );
  expect(first.types).toEqual(['of-first']);
  expect(second.types.toSorted()).toEqual(['of-gone', 'of-renamed', 'of-second', 'of-twin']);
});
