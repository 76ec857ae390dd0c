import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { transaction } from '../webhooks/transaction.ts';
import { WebhookFixture } from '../webhooks/webhook-fixture.suite.ts';
import { claimAll, endpointOf, kill, letterIds, settled } from './dead-letter-fixture.suite.ts';
import { planRedrive, type RequestedRedrive, redriveProgress, requestRedrive } from './redrive.ts';
import type { DeadLetterSelection } from './selection.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let fixture: WebhookFixture;
  beforeAll(async () => {
    fixture = await WebhookFixture.create(inject('postgres')[major]);
  });
  afterAll(async () => {
    await fixture[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await fixture.rows('delete from event_runtime.webhook_application');
    await fixture.rows('delete from event_runtime.dead_letter');
  });

  async function redrive(selection: DeadLetterSelection = {}): Promise<RequestedRedrive> {
    const client = await fixture.pool.connect();
    try {
      return await requestRedrive(client, selection, { by: 'ops@here' });
    } finally {
      client.release();
    }
  }

  const payloads = async (claimerId?: string): Promise<Array<string | undefined>> =>
    (await claimAll(fixture, claimerId)).map(({ event }) => event?.payload.toString());
  const expire = async (): Promise<void> => {
    await fixture.rows("update event_runtime.webhook_delivery set claimed_until = now() - interval '1 s'");
  };

  test('older letters go first in their order, before what is pending, whatever the order they are asked in', async () => {
    await endpointOf(fixture);
    await kill(fixture, [{ payload: '1' }, { payload: '2' }, { payload: '3' }]);
    await fixture.publish([{ payload: '4' }, { payload: '5', entityKey: 'other' }]);
    const [one, two, three] = await letterIds(fixture);
    await redrive({ ids: [three!] });
    await redrive({ ids: [one!, two!] });
    expect(await payloads()).toEqual(['1', '2', '3', '4', '5']);
  });

  test('a failure of the old one holds back the newer ones of its entity, no others', async () => {
    await endpointOf(fixture);
    await kill(fixture, [{ payload: '1' }]);
    await fixture.publish([{ payload: '2' }, { payload: '3', entityKey: 'other' }]);
    await redrive();
    const deliveries = await claimAll(fixture);
    const [old, newer, others] = deliveries;
    await fixture.queue.settle([
      settled(old!, 'retrying'),
      settled(newer!, 'released'),
      settled(others!, 'delivered'),
    ]);
    expect(await payloads()).toEqual([]);
    await fixture.rows(
      "update event_runtime.webhook_delivery set next_attempt_at = now() where state = 'retrying'",
    );
    expect(await payloads()).toEqual(['1', '2']);
  });

  test('it waits while another claimer has newer ones of its entity, and nothing passes it then', async () => {
    await endpointOf(fixture);
    await kill(fixture, [{ payload: '1' }]);
    await fixture.publish([{ payload: '2' }]);
    const claimed = await claimAll(fixture);
    await redrive();
    await fixture.publish([{ payload: '3' }]);
    expect(await payloads()).toEqual([]);
    await fixture.queue.settle(claimed.map((each) => settled(each, 'delivered')));
    expect(await payloads()).toEqual(['1', '3']);
  });

  test('of an endpoint in order it goes before everything; without an order it waits for nothing', async () => {
    const ordered = await endpointOf(fixture, { ordering: 'endpoint' });
    const free = await endpointOf(fixture, { ordering: 'none' });
    await kill(fixture, [{ payload: '1' }]);
    await fixture.publish([{ payload: '2', entityKey: 'other' }]);
    await claimAll(fixture);
    await redrive();
    const got = await claimAll(fixture);
    expect(got.map(({ endpointId }) => endpointId)).toEqual([free]);
    await expire();
    const again = (await claimAll(fixture)).filter(({ endpointId }) => endpointId === ordered);
    expect(again.map(({ event }) => event?.payload.toString())).toEqual(['1', '2']);
  });

  test('delivered, the letter is gone with its delivery; dead again, it has its id, first time and attempts', async () => {
    await endpointOf(fixture);
    await kill(fixture, [
      { payload: '1', entityKey: 'a' },
      { payload: '2', entityKey: 'b' },
    ]);
    await fixture.rows(
      "update event_runtime.dead_letter set attempts = 10, first_failed_at = '2026-01-01Z', dead_at = '2026-01-03Z'",
    );
    const [, dies] = await letterIds(fixture);
    const { redriveId, letters } = await redrive();
    expect(letters).toBe(2);
    expect(await redriveProgress(fixture.pool, redriveId)).toEqual({ redriving: 2, dead: 0, cancelled: 0 });
    const [good, bad] = await claimAll(fixture);
    expect(bad).toMatchObject({ attempts: 0 });
    await fixture.queue.settle([settled(bad!, 'retrying'), settled(good!, 'delivered')]);
    await fixture.rows('update event_runtime.webhook_delivery set next_attempt_at = now()');
    const [last] = await claimAll(fixture);
    await fixture.queue.settle([settled(last!, 'dead', 'another reason')]);
    expect(await redriveProgress(fixture.pool, redriveId)).toEqual({ redriving: 0, dead: 1, cancelled: 0 });
    expect(
      await fixture.rows(
        `select dead_letter_id as id, state, attempts, first_failed_at = '2026-01-01Z' as kept,
                dead_at > now() - interval '1 min' as now, reason, redrives, redrive_by, payload::text
           from event_runtime.dead_letter`,
      ),
    ).toEqual([
      {
        id: dies,
        state: 'dead',
        attempts: 12,
        kept: true,
        now: true,
        reason: 'another reason',
        redrives: 1,
        redrive_by: 'ops@here',
        payload: '2',
      },
    ]);
    expect(await redrive()).toMatchObject({ letters: 1 });
  });

  test('one that a replay caused has its mark, redriven as well; the event as it happened takes it away for good', async () => {
    await endpointOf(fixture);
    await fixture.publish([{ payload: '1' }]);
    const [of, later] = [randomUUID(), randomUUID()];
    /** A delivery of the event by a replay, or as it happened, of which is given up. */
    const dies = async (replay: string | null): Promise<unknown> => {
      await fixture.rows(
        `insert into event_runtime.webhook_delivery (tenant_id, endpoint_id, event_id, event_recorded_at, seq, replay_id)
         select l.tenant_id, l.endpoint_id, l.event_id, l.event_recorded_at, l.seq, $1 from event_runtime.dead_letter l
         on conflict do nothing`,
        [replay],
      );
      await fixture.queue.settle((await claimAll(fixture)).map((each) => settled(each, 'dead')));
      const [letter] = await fixture.rows<{ of: unknown }>(
        'select replay_id as of from event_runtime.dead_letter',
      );
      return letter?.of;
    };
    await fixture.rows('update event_runtime.webhook_delivery set replay_id = $1', [of]);
    expect(await dies(null)).toBe(of);
    await redrive();
    const [again] = await claimAll(fixture);
    expect(again?.event?.replay).toBe(of);
    await fixture.queue.settle([settled(again!, 'dead')]);
    expect([await dies(later), await dies(null), await dies(of)]).toEqual([later, null, null]);
  });

  test('two at the same time ask for each letter once; and again while it is under way, for nothing', async () => {
    await endpointOf(fixture);
    await endpointOf(fixture);
    await kill(
      fixture,
      Array.from({ length: 50 }, (_, n) => ({ payload: String(n), entityKey: `e${n % 7}` })),
    );
    const both = await Promise.all([redrive(), redrive(), redrive({ sink: 'webhooks' })]);
    expect(both.map(({ letters }) => letters).toSorted((a, b) => a - b)).toEqual([0, 0, 100]);
    expect(await redrive()).toMatchObject({ letters: 0, plan: { underWay: 100 } });
    const claimed = await claimAll(fixture);
    expect(claimed).toHaveLength(100);
    const seqs = claimed.filter(({ endpointId }) => endpointId === claimed[0]?.endpointId);
    const numbers = seqs.map(({ event }) => Number(event?.payload));
    expect(numbers).toEqual(Array.from({ length: 50 }, (_, n) => n));
    await fixture.queue.settle(claimed.map((each) => settled(each, 'delivered')));
    expect(await letterIds(fixture)).toEqual([]);
  });

  test('a connection that is killed in between leaves all or nothing, and a delivery that is lost comes again', async () => {
    await endpointOf(fixture);
    await kill(fixture, [{ payload: '1' }]);
    const client = await fixture.pool.connect();
    client.on('error', () => undefined);
    const [self] = (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows;
    const query = client.query.bind(client) as (text: string, values?: unknown[]) => Promise<pg.QueryResult>;
    const cut = async (text: string, values?: unknown[]): Promise<pg.QueryResult> => {
      if (text === 'commit') await fixture.rows('select pg_terminate_backend($1, 5000)', [self?.pid]);
      return await query(text, values);
    };
    Object.assign(client, { query: cut });
    await expect(requestRedrive(client, {}, { by: 'ops' })).rejects.toThrow();
    client.release(true);
    expect(await fixture.rows('select state from event_runtime.dead_letter')).toEqual([{ state: 'dead' }]);
    expect(await fixture.rows('select from event_runtime.webhook_delivery')).toEqual([]);
    await redrive();
    // Its claimer dies before it has settled; the outcome of the dead one counts for nothing then.
    const [lost] = await claimAll(fixture);
    await expire();
    const [again] = await claimAll(fixture);
    expect(again?.deliveryId).toBe(lost?.deliveryId);
    expect((await fixture.queue.settle([settled(lost!, 'dead')])).size).toBe(0);
    await fixture.queue.settle([settled(again!, 'delivered')]);
    expect(await letterIds(fixture)).toEqual([]);
  });

  test('what the outbox has forgotten is delivered from the letter, byte for byte; what was gone before is refused', async () => {
    await endpointOf(fixture);
    const payload = ' {"a":1.0,"b":"\\u0000 😀"}\n';
    await kill(fixture, [{ payload, headers: '{"region":"sp"}', entityKey: 'k' }, { entityKey: 'gone' }]);
    await fixture.rows('delete from event_runtime.outbox');
    await fixture.rows(
      `update event_runtime.dead_letter set event_version = null, event_type = 'unknown', payload = 'null'
        where entity_key = 'gone'`,
    );
    const [whole, lost] = await letterIds(fixture);
    await expect(redrive({ ids: [whole!, lost!] })).rejects.toMatchObject({ code: 'ER4021' });
    expect(await redrive()).toMatchObject({ letters: 1, plan: { lost: 1 } });
    const [delivery] = await claimAll(fixture);
    expect(delivery?.event?.payload.toString()).toBe(payload);
    expect(delivery?.event).toMatchObject({
      headers: '{"region":"sp"}',
      eventType: 'thing.happened',
      eventVersion: 1,
    });
  });

  test('an endpoint that is gone is told; so also when it goes while a letter is under way', async () => {
    const endpointId = await endpointOf(fixture);
    await kill(fixture, [{ payload: '1' }]);
    await redrive();
    await fixture.endpoints.remove({ tenantId: 'acme', endpointId });
    expect(await fixture.rows('select state from event_runtime.dead_letter')).toEqual([{ state: 'dead' }]);
    await expect(redrive()).rejects.toMatchObject({ code: 'ER4020' });
    const none = { ids: [randomUUID()] };
    await expect(redrive(none)).rejects.toMatchObject({ code: 'ER4019' });
  });

  test('a plan says what can be known', async () => {
    await endpointOf(fixture);
    await kill(fixture, [
      { payload: '1', entityKey: 'a' },
      { payload: '2', entityKey: null },
    ]);
    await fixture.publish([
      { payload: '3', entityKey: 'a' },
      { payload: '4', entityKey: 'b' },
    ]);
    const [delivered] = await claimAll(fixture);
    await fixture.queue.settle([settled(delivered!, 'delivered')]);
    await fixture.publish([{ payload: '5', entityKey: 'a' }]);
    const plan = await transaction(fixture.pool, async (client) => await planRedrive(client, {}));
    expect(plan).toEqual({
      found: 2,
      letters: 2,
      underWay: 0,
      lost: 0,
      endpointGone: 0,
      endpointDisabled: 0,
      entities: 1,
      withoutEntity: 1,
      newerEvents: 2,
      newerPending: 1,
    });
  });
});
