import type pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { silentLogger } from '../telemetry/logger.ts';
import { lockForClaim } from '../webhooks/delivery-sql.ts';
import { WebhookFixture } from '../webhooks/webhook-fixture.suite.ts';
import { cancelRedrive, planCancel } from './cancel.ts';
import { claimAll, endpointOf, kill, letterIds, settled, sinkLetter } from './dead-letter-fixture.suite.ts';
import { discardDeadLetters } from './discard.ts';
import { redriveObstacles } from './obstacles.ts';
import { redriveProgress, requestRedrive } from './redrive.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let fixture: WebhookFixture;
  let client: pg.PoolClient;
  beforeAll(async () => {
    fixture = await WebhookFixture.create(inject('postgres')[major]);
    client = await fixture.pool.connect();
  });
  afterAll(async () => {
    client.release();
    await fixture[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await fixture.rows('delete from event_runtime.webhook_application');
    await fixture.rows('delete from event_runtime.dead_letter');
  });

  const by = { by: 'ops' };
  const why = { reason: 'r', by: 'ops', logger: silentLogger };
  const states = async (): Promise<string[]> => {
    const rows = await fixture.rows<{ state: string }>(
      'select state from event_runtime.dead_letter order by seq, dead_letter_id',
    );
    return rows.map(({ state }) => state);
  };

  test('letters of other sinks are changed while deliveries are claimed; those of webhooks wait for that', async () => {
    await endpointOf(fixture);
    await kill(fixture, [{}]);
    await sinkLetter(fixture, { seq: 1 });
    const claiming = await fixture.pool.connect();
    await claiming.query(`begin; ${lockForClaim}`);
    try {
      await client.query("set lock_timeout = '50ms'");
      const other = { sink: 'nats' };
      expect(await requestRedrive(client, other, by)).toMatchObject({ letters: 1 });
      expect(await cancelRedrive(client, other)).toMatchObject({ letters: 1 });
      expect(await discardDeadLetters(client, other, why)).toMatchObject({ letters: 1 });
      const webhooks = { sink: 'webhooks' };
      for (const change of [
        async () => await requestRedrive(client, webhooks, by),
        async () => await discardDeadLetters(client, webhooks, why),
      ])
        await expect(change()).rejects.toMatchObject({ code: '55P03' });
    } finally {
      await claiming.query('rollback');
      claiming.release();
      await client.query('reset lock_timeout');
    }
    expect(await states()).toEqual(['dead']);
  });

  test('many are changed a part at a time, each part for good, older ones of an entity first', async () => {
    const rows = 2_500;
    await fixture.rows(
      `insert into event_runtime.dead_letter
         (tenant_id, sink, event_id, event_recorded_at, seq, entity_key, event_type, reason_code, reason, attempts,
          payload, event_version)
       select 'acme', 'nats', gen_random_uuid(), now(), ${rows} - n, 'e', 't', 'rejected', 'no', 1, '{}', 1
         from generate_series(1, ${rows}) n`,
    );
    const seen: string[] = [];
    const stop = (done: number, total: number): void => {
      seen.push(`${done}/${total}`);
      if (seen.length === 2) throw new Error('stopped');
    };
    await expect(requestRedrive(client, {}, { ...by, onProgress: stop })).rejects.toThrow('stopped');
    expect(seen).toEqual(['1000/2500', '2000/2500']);
    const asked = await fixture.rows<{ count: number; last: number }>(
      `select count(*)::int, max(seq)::int as last from event_runtime.dead_letter where state = 'redriving'`,
    );
    expect(asked).toEqual([{ count: 2_000, last: 1_999 }]);
    // Taken back is the newest first: what is handed over meanwhile has nothing dead before it.
    seen.length = 1;
    await expect(cancelRedrive(client, {}, { onProgress: stop })).rejects.toThrow('stopped');
    const left = await fixture.rows<{ count: number; last: number }>(
      `select count(*)::int, max(seq)::int as last from event_runtime.dead_letter where state = 'redriving'`,
    );
    expect(left).toEqual([{ count: 1_000, last: 999 }]);
    seen.length = 0;
    await expect(discardDeadLetters(client, {}, { ...why, onProgress: stop })).rejects.toThrow('stopped');
    expect(await states()).toHaveLength(500);
  });

  test('a redrive that is taken back leaves letters dead as before, and no delivery; it can be asked for again', async () => {
    await endpointOf(fixture);
    await kill(fixture, [{ payload: '1' }, { payload: '2' }]);
    await sinkLetter(fixture, { seq: 1_000 });
    const before = await fixture.rows(
      'select dead_at, reason, attempts from event_runtime.dead_letter order by seq',
    );
    const { redriveId } = await requestRedrive(client, {}, by);
    expect(await planCancel(client, {})).toEqual({ letters: 3, underWay: 0, waiting: 0 });
    expect(await cancelRedrive(client, {})).toEqual({ letters: 3, underWay: 0, waiting: 0 });
    expect(await states()).toEqual(['dead', 'dead', 'dead']);
    expect(await redriveProgress(client, redriveId)).toEqual({ redriving: 0, dead: 0, cancelled: 3 });
    expect(
      await fixture.rows('select dead_at, reason, attempts from event_runtime.dead_letter order by seq'),
    ).toEqual(before);
    await fixture.publish([{ payload: '3' }]);
    const bodies = (await claimAll(fixture)).map(({ event }) => event?.payload.toString());
    expect(bodies).toEqual(['3']);
    expect(await cancelRedrive(client, {})).toEqual({ letters: 0, underWay: 0, waiting: 0 });
    expect(await requestRedrive(client, {}, by)).toMatchObject({ letters: 3 });
    const none = { ids: ['00000000-0000-7000-8000-000000000000'] };
    await expect(cancelRedrive(client, none)).rejects.toMatchObject({ code: 'ER4019' });
  });

  test('what a deliverer holds goes on, and can be taken back once it failed; what only waited goes on', async () => {
    await endpointOf(fixture);
    await kill(fixture, [{ entityKey: 'a' }, { entityKey: 'b' }]);
    await sinkLetter(fixture, { seq: 1_000 });
    await sinkLetter(fixture, { seq: 1_001, reasonCode: 'waits' });
    await requestRedrive(client, {}, by);
    const [a, b] = await claimAll(fixture);
    expect(await cancelRedrive(client, {})).toEqual({ letters: 1, underWay: 2, waiting: 1 });
    await fixture.queue.settle([settled(a!, 'delivered'), settled(b!, 'retrying')]);
    expect(await states()).toEqual(['redriving', 'dead', 'redriving']);
    expect(await cancelRedrive(client, {})).toEqual({ letters: 1, underWay: 0, waiting: 1 });
    expect(await states()).toEqual(['dead', 'dead', 'redriving']);
    expect(await fixture.rows('select from event_runtime.webhook_delivery')).toEqual([]);
    // The attempt that failed counts.
    const [letter] = await letterIds(fixture);
    expect(
      await fixture.rows('select attempts from event_runtime.dead_letter where dead_letter_id = $1', [
        letter,
      ]),
    ).toEqual([{ attempts: 2 }]);
  });

  test('what letters wait for is known: an older dead one that no replay caused, a disabled endpoint, a relay', async () => {
    const endpointId = await endpointOf(fixture);
    await kill(fixture, [{}]);
    await fixture.endpoints.disable({ tenantId: 'acme', endpointId, reason: 'r' });
    const replayed = await sinkLetter(fixture, { seq: 999 });
    await fixture.rows(
      'update event_runtime.dead_letter set replay_id = gen_random_uuid() where dead_letter_id = $1',
      [replayed],
    );
    const older = await sinkLetter(fixture, { seq: 1_000 });
    await sinkLetter(fixture, { seq: 1_001, entityKey: 'other' });
    await sinkLetter(fixture, { seq: 1_002, entityKey: 'other' });
    const younger = await sinkLetter(fixture, { seq: 1_003 });
    const [webhook] = await letterIds(fixture);
    const { redriveId } = await requestRedrive(client, { ids: [webhook!, younger] }, by);
    expect(await redriveObstacles(client, redriveId)).toEqual({
      behind: 1,
      behindLetter: older,
      endpointDisabled: 1,
      paused: [],
      unfed: ['nats'],
    });
  });
});
