import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { Snapshot } from '../log/snapshot.ts';
import type { WebhookSink } from './fan-out.ts';
import { WebhookFixture } from './webhook-fixture.suite.ts';

const signal = new AbortController().signal;
const url = 'http://127.0.0.1:9/';

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
    await fixture.rows('delete from event_runtime.relay_checkpoint');
  });

  async function deliveries(): Promise<
    Array<{ event_id: string; endpoint_id: string; entity_key: string | null }>
  > {
    return await fixture.rows(
      'select event_id, endpoint_id, entity_key from event_runtime.webhook_delivery order by delivery_id',
    );
  }

  test("to the enabled endpoints of the event's tenant whose subscription matches, in log order", async () => {
    const all = await fixture.endpoints.create({ tenantId: 'acme', url, eventTypes: ['*'] });
    const github = await fixture.endpoints.create({ tenantId: 'acme', url, eventTypes: ['x', 'github.*'] });
    await fixture.endpoints.create({ tenantId: 'other', url, eventTypes: ['*'] });
    const off = await fixture.endpoints.create({ tenantId: 'acme', url, eventTypes: ['*'] });
    await fixture.endpoints.disable({ tenantId: 'acme', endpointId: off.endpointId, reason: 'test' });
    const logged = await fixture.publish([
      { eventType: 'github.push', entityKey: 'b' },
      { eventType: 'other', entityKey: null },
      { eventType: 'github.ping', entityKey: 'a' },
      { tenantId: 'nobody' },
    ]);
    const [push, other, ping] = logged.map(({ event }) => event.eventId);
    const both = [all.endpointId, github.endpointId].toSorted();
    expect(await deliveries()).toEqual([
      ...both.map((endpoint_id) => ({ event_id: push, endpoint_id, entity_key: 'b' })),
      { event_id: other, endpoint_id: all.endpointId, entity_key: null },
      ...both.map((endpoint_id) => ({ event_id: ping, endpoint_id, entity_key: 'a' })),
    ]);
  });

  test.each([
    ['*', 'anything at all', true],
    ['github.*', 'github.push.x', true],
    ['github.*', 'github', false],
    ['github.*', 'githubxpush', false],
    ['*.push', 'github.push', true],
    ['claim.approved', 'claim.approved', true],
    ['claim.approved', 'claim.approved2', false],
    ['claim_approved', 'claimxapproved', false],
    ['claim%', 'claim.approved', false],
    ['100%', '100%', true],
    ['back\\slash', 'back\\slash', true],
    ['a\\*', 'a\\b', true],
    ['a\\*', 'ab', false],
    ['Claim', 'claim', false],
  ])('subscription %j and type %j: %j', async (pattern, eventType, matches) => {
    await fixture.endpoints.create({ tenantId: 'acme', url, eventTypes: [pattern] });
    await fixture.publish([{ eventType }]);
    expect(await deliveries()).toHaveLength(matches ? 1 : 0);
  });

  test('what is handed over again is not fanned out again, neither to old nor to new endpoints', async () => {
    await fixture.endpoints.create({ tenantId: 'acme', url, eventTypes: ['*'] });
    const sink = fixture.sink();
    const logged = await fixture.publish([{}, {}, {}], sink);
    // Delivered meanwhile: the row is gone, and only the inbox remembers.
    await fixture.rows('delete from event_runtime.webhook_delivery where event_id = $1', [
      logged[0]!.event.eventId,
    ]);
    await fixture.endpoints.create({ tenantId: 'acme', url, eventTypes: ['*'] });
    const [next] = await fixture.emit([{}]);
    const again = [...logged, logged[1]!, next!];
    const results = await fixture.handOver(again, sink, { at: next!.position! });
    expect(results).toEqual(again.map(() => ({ type: 'delivered' })));
    const ids = (await deliveries()).map((row) => row.event_id);
    const eventIds = [...logged, next!].map(({ event }) => event.eventId);
    expect(ids).toEqual([eventIds[1], eventIds[2], eventIds[3], eventIds[3]]);
  });

  test('a replay is fanned out once, also where the event was delivered before; what is on its way is not doubled', async () => {
    await fixture.endpoints.create({ tenantId: 'acme', url, eventTypes: ['*'] });
    const sink = fixture.sink();
    const [logged] = await fixture.publish([{}], sink);
    await fixture.rows('delete from event_runtime.webhook_delivery');
    const by = (replay: string) => [{ ...logged!, event: { ...logged!.event, replay } }];
    const first = '01a1fc00-0000-7abc-8123-456789abcdef';
    const at = { at: logged!.position! };
    await fixture.handOver(by(first), sink, at);
    await fixture.handOver(by('01a1fc00-0000-7abc-8123-456789abcd00'), sink, at);
    const rows = 'select replay_id from event_runtime.webhook_delivery';
    expect(await fixture.rows(rows)).toEqual([{ replay_id: first }]);
    const { deliveries: claimed } = await fixture.queue.claim({
      ...{
        claimerId: first,
        leaseMs: 60_000,
        limit: 1,
        limitPerEndpoint: 1,
        maxBytes: 1_000,
        exceptEndpoints: [],
      },
    });
    expect(claimed[0]?.event?.replay).toBe(first);
    await fixture.rows('delete from event_runtime.webhook_delivery');
    await fixture.handOver(by(first), sink, at);
    expect(await fixture.rows(rows)).toEqual([]);
  });

  test('the checkpoint is stored with the work, in one transaction', async () => {
    await fixture.endpoints.create({ tenantId: 'acme', url, eventTypes: ['*'] });
    const sink = fixture.sink();
    const logged = await fixture.publish([{}, {}], sink);
    const { position } = logged[1]!;
    expect(await fixture.position()).toEqual(position);
    // A broken batch leaves neither checkpoint nor deliveries nor inbox rows behind.
    const [good, bad] = await fixture.emit([{}, {}]);
    const broken = { ...bad!, event: { ...bad!.event, recordedAt: 'not a time' } };
    await expect(fixture.handOver([good!, broken], sink)).rejects.toThrow();
    expect(await fixture.position()).toEqual(position);
    expect(await deliveries()).toHaveLength(2);
    await fixture.handOver([good!, bad!], sink);
    expect(await deliveries()).toHaveLength(4);
    expect(await fixture.position()).toEqual(bad!.position);
  });

  test('an event whose commit is not visible yet is waited for, and holds no lock meanwhile', async () => {
    await fixture.endpoints.create({ tenantId: 'acme', url, eventTypes: ['*'] });
    const sink = fixture.sink();
    const [logged] = await fixture.emit([{}]);
    await fixture.handOver([], sink, { at: logged!.position! });
    const open = new pg.Client({ connectionString: fixture.database.url });
    await open.connect();
    try {
      await open.query('begin');
      const { rows } = await open.query<{ id: string }>('select pg_current_xact_id()::text as id');
      const unseen = { ...logged!, txId: BigInt(rows[0]!.id) };
      await expect(fixture.handOver([unseen], sink)).rejects.toMatchObject({ code: 'ER4013' });
      expect(await deliveries()).toEqual([]);
      const delivering = fixture.handOver([unseen], sink);
      await fixture.rows(`set lock_timeout = '900ms'`);
      await fixture.rows('select from event_runtime.relay_checkpoint for update');
      expect(await deliveries()).toEqual([]);
      await open.query('commit');
      await delivering;
      expect(await deliveries()).toHaveLength(1);
      // From the table only what is visible is read, also what has ids of another cluster.
      const adopted = { ...logged!, txId: 2n ** 62n, position: null };
      await fixture.handOver([adopted], sink, { at: logged!.position! });
    } finally {
      await open.end();
    }
  });

  test('after another replica has taken over nothing is written: ER1207', async () => {
    await fixture.endpoints.create({ tenantId: 'acme', url, eventTypes: ['*'] });
    const sink = fixture.sink();
    const [first, late] = await fixture.emit([{}, {}]);
    await fixture.handOver([first!], sink);
    await fixture.rows('update event_runtime.relay_checkpoint set epoch = 6');
    const checkpoint = {
      mode: 'live',
      position: late!.position!,
      snapshot: Snapshot.nothing,
      batch: null,
      floorSeq: 0n,
      adoption: null,
    } as const;
    await expect(sink.deliver({ events: [late!], checkpoint }, { signal })).rejects.toMatchObject({
      code: 'ER1207',
    });
    expect(await deliveries()).toHaveLength(1);
    expect(await fixture.position()).toEqual(first!.position);
  });

  test('two relays with the same batches at once: each event once, delivery ids in log order', async () => {
    await fixture.endpoints.create({ tenantId: 'acme', url, eventTypes: ['*'] });
    const logged = await fixture.emit(Array.from({ length: 60 }, () => ({})));
    const run = async (sink: WebhookSink, size: number): Promise<void> => {
      for (let at = 0; at < logged.length; at += size) {
        const events = logged.slice(at, at + size);
        await fixture.handOver(events, sink);
      }
    };
    await Promise.all([run(fixture.sink(), 7), run(fixture.sink(), 11), run(fixture.sink(), 60)]);
    expect((await deliveries()).map((row) => row.event_id)).toEqual(logged.map(({ event }) => event.eventId));
  });

  test('it wakes with the number of deliveries, after the commit, and only if there are any', async () => {
    await fixture.endpoints.create({ tenantId: 'acme', url, eventTypes: ['a'] });
    const seen: number[] = [];
    const sink = fixture.sink({ onFanOut: (count) => seen.push(count) });
    await fixture.publish([{ eventType: 'a' }, { eventType: 'a' }, { eventType: 'b' }], sink);
    await fixture.publish([{ eventType: 'b' }], sink);
    expect(seen).toEqual([2]);
  });

  test('an aborted signal: nothing is begun', async () => {
    const [event] = await fixture.emit([{}]);
    const sink = fixture.sink();
    await expect(fixture.handOver([event!], sink, { signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
    expect(await deliveries()).toEqual([]);
  });
});
