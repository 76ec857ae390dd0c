import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { eventually } from '../../replication/stream-fixture.suite.ts';
import type { Sink } from '../../sinks/sink.ts';
import { EgressGuard } from '../../webhooks/egress-guard.ts';
import { Endpoints } from '../../webhooks/endpoints.ts';
import { SecretBox } from '../../webhooks/secret-box.ts';
import { loggedEvent } from '../feed/event-fixture.suite.ts';
import { Consumer, RelayFixture } from '../relay-fixture.suite.ts';
import { createReplay } from '../replay/replay-jobs.ts';
import { keepDeadLetter } from './dead-letter.ts';

/** Refuses events of the type `poison`, for a reason that is their own. */
function pickySink(handed: string[]): Sink {
  return {
    name: 'picky',
    features: { order: true, dedupe: false, ownCheckpoint: false },
    async deliver(batch) {
      return batch.events.map(({ event }) => {
        handed.push(event.eventType);
        return event.eventType === 'poison'
          ? { type: 'rejected', reason: 'too bitter' }
          : { type: 'delivered' };
      });
    },
    async [Symbol.asyncDispose]() {},
  };
}

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let fixture: RelayFixture;
  beforeEach(async () => {
    fixture = await RelayFixture.create(inject('postgres')[major]);
  });
  afterEach(async () => {
    await fixture[Symbol.asyncDispose]();
  });

  /** What was fanned out, in the order in which it is posted. */
  async function deliveriesAre(types: readonly string[]): Promise<void> {
    await eventually(
      async () =>
        await fixture.rows<{ type: string }>(
          `select o.event_type as type from event_runtime.webhook_delivery d
             join event_runtime.outbox o on o.event_id = d.event_id order by d.delivery_id`,
        ),
      (rows) => rows.map(({ type }) => type).join() === types.join(),
    );
  }

  test('what a sink turns away for too long while it takes others is kept as well, and its entity goes on', async () => {
    const consumer = new Consumer('picky');
    consumer.gate = ({ event }) => {
      if (event.eventType === 'stuck') throw new Error('nobody may publish that');
    };
    const source = { ...consumer.source, deadLetterAfterMs: 50 };
    await fixture.relay([source]).start();
    await fixture.emit({ eventType: 'stuck', entityKey: 'e' });
    await fixture.emit({ eventType: 'next', entityKey: 'e' });
    await eventually(
      async () => {
        // Others go on coming.
        await fixture.emit({ eventType: 'other' });
        return consumer.types;
      },
      (types) => types.includes('next'),
    );
    const [letter, ...others] = await fixture.rows<{ event_type: string; reason: string }>(
      'select event_type, reason from event_runtime.dead_letter',
    );
    expect(others).toEqual([]);
    expect(letter?.event_type).toBe('stuck');
    expect(letter?.reason).toMatch(/^turned away \d+ times in 0 minutes: nobody may publish that$/);
  });

  test('what a sink refuses is kept with its bytes and the reason, once, and later events go on', async () => {
    const handed: string[] = [];
    const picky = { name: 'picky', create: () => pickySink(handed) };
    const relay = fixture.relay([picky]);
    await relay.start();
    const payload = ' { "a": 1.0, "a": 9007199254740993, "s": "\\u0000 é😀" }\n';
    await fixture.rows(
      `select event_runtime.emit('poison', $1::json, tenant_id => 'acme', entity_key => 'e', ecosystem => 'opin',
                                 headers => '{"b": "1","a": "2"}')`,
      [payload],
    );
    await fixture.emit({ eventType: 'next', entityKey: 'e' });
    await eventually(
      async () => handed.length,
      (count) => count === 2,
    );
    await relay.stop();
    // As if nothing had been stored: everything is handed over again.
    await fixture.rows(
      "update event_runtime.relay_checkpoint set mode = 'table', snapshot = '3:3:', batch_snapshot = null, batch_seq = null",
    );
    await fixture.relay([picky]).start();
    await eventually(
      async () => handed.length,
      (count) => count === 4,
    );
    expect(handed).toEqual(['poison', 'next', 'poison', 'next']);
    const letters = await fixture.rows(
      `select d.tenant_id, d.ecosystem, d.sink, d.endpoint_id, d.entity_key, d.event_type, d.reason_code, d.reason,
              d.attempts, d.payload::text as payload, d.headers::text as headers,
              d.event_id = o.event_id and d.seq = o.seq and d.event_recorded_at = o.recorded_at as same
       from event_runtime.dead_letter d, event_runtime.outbox o where o.event_type = 'poison'`,
    );
    expect(letters).toEqual([
      {
        tenant_id: 'acme',
        ecosystem: 'opin',
        sink: 'picky',
        endpoint_id: null,
        entity_key: 'e',
        event_type: 'poison',
        reason_code: 'rejected',
        reason: 'too bitter',
        attempts: 1,
        payload,
        headers: '{"b": "1","a": "2"}',
        same: true,
      },
    ]);
  });

  test('of one event there is one letter: of the event as it happened, or of the replay that was refused last', async () => {
    const [one, two] = [randomUUID(), randomUUID()];
    const logged = loggedEvent(7);
    const marks: unknown[] = [];
    for (const replay of [one, one, two, undefined, undefined, one]) {
      const event = { ...logged.event, ...(replay === undefined ? {} : { replay }) };
      const refused = { relay: 'r', sink: 'picky', reasonCode: 'rejected', reason: 'too bitter' };
      await keepDeadLetter(fixture.pool, { ...refused, logged: { ...logged, event } });
      marks.push(...(await fixture.rows('select replay_id as of, attempts from event_runtime.dead_letter')));
    }
    expect(marks).toEqual([
      { of: one, attempts: 1 },
      { of: one, attempts: 1 },
      { of: two, attempts: 2 },
      { of: null, attempts: 3 },
      { of: null, attempts: 3 },
      { of: null, attempts: 3 },
    ]);
    // While it is handed over again, what a replay brings of it is another matter.
    await fixture.rows("update event_runtime.dead_letter set state = 'redriving', reason_code = 'waits'");
    const replayed = { ...logged, event: { ...logged.event, replay: two } };
    const refused = { relay: 'r', sink: 'picky', reasonCode: 'rejected', reason: 'too bitter' };
    await keepDeadLetter(fixture.pool, { ...refused, logged: replayed });
    const kept = await fixture.rows('select state, reason_code, attempts from event_runtime.dead_letter');
    expect(kept).toEqual([{ state: 'redriving', reason_code: 'waits', attempts: 3 }]);
  });

  test('what a route threw for in a replay to the webhooks is fanned out when it is redriven, with its mark', async () => {
    const guard = new EgressGuard({ allow: ['127.0.0.0/8'] });
    const endpoints = new Endpoints({
      pool: fixture.pool,
      guard,
      secretBox: new SecretBox([SecretBox.newKey()]),
    });
    await endpoints.create({ tenantId: 'acme', url: 'http://127.0.0.1:9/', eventTypes: ['*'] });
    let broken = true;
    const filter = ({ replay }: { readonly replay: string | null }): boolean => {
      if (replay !== null && broken) throw new Error('no rate');
      return true;
    };
    await fixture
      .relay([fixture.webhooks], { routes: [{ to: ['webhooks'], filter, onError: 'dead-letter' }] })
      .start();
    await fixture.emit({ eventType: 'first' });
    await deliveriesAre(['first']);
    await fixture.rows('delete from event_runtime.webhook_delivery');
    const { id } = await createReplay(fixture.pool, { relay: fixture.slot, sink: 'webhooks', selection: {} });
    await eventually(
      () => fixture.rows<{ of: string }>('select replay_id as of from event_runtime.dead_letter'),
      (letters) => letters[0]?.of === id,
    );
    broken = false;
    await fixture.rows("update event_runtime.dead_letter set state = 'redriving'");
    await deliveriesAre(['first']);
    expect(await fixture.rows('select replay_id as of from event_runtime.webhook_delivery')).toEqual([
      { of: id },
    ]);
  });

  test('the reason may be anything that a sink writes', async () => {
    const sink = pickySink([]);
    const refuse: Sink = {
      ...sink,
      deliver: async ({ events }) =>
        events.map(() => ({ type: 'rejected', reason: `\u0000 \ud800 ${'x'.repeat(5_000)}` })),
    };
    await fixture.relay([{ name: 'picky', create: () => refuse }]).start();
    await fixture.emit({ eventType: 'any' });
    const letters = await eventually(
      () => fixture.rows<{ reason: string }>('select reason from event_runtime.dead_letter'),
      ({ length }) => length === 1,
    );
    expect(letters[0]?.reason).toMatch(/^\ufffd \ufffd x{1996}$/);
  });

  test.each(['retry', 'dead-letter'] as const)(
    'a route to the webhooks that fails loses nothing, also when it is corrected after a stop: %s',
    async (onError) => {
      const guard = new EgressGuard({ allow: ['127.0.0.0/8'] });
      const secretBox = new SecretBox([SecretBox.newKey()]);
      const endpoints = new Endpoints({ pool: fixture.pool, secretBox, guard });
      await endpoints.create({ tenantId: 'acme', url: 'http://127.0.0.1:9/', eventTypes: ['*'] });
      const fails = (): never => {
        throw new Error('no rate');
      };
      const failing = fixture.relay([fixture.webhooks], {
        routes: [{ to: ['webhooks'], type: 'bad', filter: fails, onError }, { to: ['webhooks'] }],
      });
      await failing.start();
      await fixture.sql.query('begin');
      for (const eventType of ['first', 'bad', 'after'])
        await fixture.emit({ eventType, entityKey: eventType });
      await fixture.sql.query('commit');
      await deliveriesAre(['first', 'after']);
      await failing.stop();
      await fixture.relay([fixture.webhooks]).start();
      const all = onError === 'retry' ? ['first', 'after', 'bad'] : ['first', 'after'];
      await deliveriesAre(all);
      const letters = await fixture.rows<{ event_type: string; reason: string }>(
        'select event_type, reason from event_runtime.dead_letter',
      );
      expect(letters).toEqual(
        onError === 'retry' ? [] : [{ event_type: 'bad', reason: 'routes[0] threw Error: no rate' }],
      );
    },
  );

  test('while a dead letter cannot be kept, nothing is handed over twice and the slot waits', async () => {
    const handed: string[] = [];
    const relay = fixture.relay([{ name: 'picky', create: () => pickySink(handed) }]);
    await relay.start();
    // A sink that reads the table holds nothing in the WAL.
    await fixture.live(relay);
    await fixture.rows('revoke insert on event_runtime.dead_letter from event_runtime_service');
    await fixture.sql.query('begin');
    for (const eventType of ['one', 'poison', 'two']) await fixture.emit({ eventType });
    await fixture.sql.query('commit');
    await eventually(
      async () => fixture.logs.filter((line) => line['event'] === 'relay.sink.retry').length,
      (count) => count >= 2,
    );
    // The event before it may be covered already, in the same transaction.
    expect(await fixture.rows('select from event_runtime.relay_checkpoint where ordinal > 0')).toEqual([]);
    await fixture.rows('grant insert on event_runtime.dead_letter to event_runtime_service');
    const end = await fixture.walPosition();
    await fixture.confirmedReaches(end);
    expect(handed).toEqual(['one', 'poison', 'two']);
    expect(await fixture.rows('select from event_runtime.dead_letter')).toHaveLength(1);
  });
});
