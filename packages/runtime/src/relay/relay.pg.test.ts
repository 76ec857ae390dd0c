import { createHash } from 'node:crypto';
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { ensurePartitions } from '../schema/partitioner.ts';
import { byEntity, Consumer, RelayFixture } from './relay-fixture.suite.ts';

/** A seeded draw, so that a failure can be played again. */
function draws(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
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

  async function endpoint(): Promise<void> {
    await fixture.rows(
      `with application as (
         insert into event_runtime.webhook_application (tenant_id, name) values ('acme', 'acme')
         returning application_id
       ), endpoint as (
         insert into event_runtime.webhook_endpoint (tenant_id, application_id, url, secret)
         select 'acme', application_id, 'https://example.com', '' from application returning endpoint_id
       )
       insert into event_runtime.webhook_subscriptions (endpoint_id, tenant_id, event_type)
       select endpoint_id, 'acme', '*' from endpoint`,
    );
  }

  /** Transactions of one producer: each locks its entity, some roll back, some by savepoint. Returns what committed. */
  async function produce(client: pg.Client, options: { random: () => number; transactions: number }) {
    const committed: string[] = [];
    for (let at = 0; at < options.transactions; at += 1) {
      const entityKey = `entity-${Math.floor(options.random() * 5)}`;
      const ids: string[] = [];
      await client.query('begin');
      await client.query('select pg_advisory_xact_lock(hashtext($1))', [entityKey]);
      for (let n = 0; n < 1 + options.random() * 3; n += 1) {
        const undone = options.random() < 0.2;
        await client.query('savepoint s');
        const id = await fixture.emit({ entityKey, eventType: undone ? 'undone' : 'done' }, client);
        if (undone) await client.query('rollback to savepoint s');
        else ids.push(id);
      }
      const kept = options.random() > 0.2;
      await client.query(kept ? 'commit' : 'rollback');
      if (kept) committed.push(...ids);
    }
    return committed;
  }

  test('what concurrent producers commit reaches both sinks, exactly, in order per entity, also over restarts', async () => {
    await endpoint();
    const consumer = new Consumer();
    const sinks = [fixture.webhooks, consumer.source];
    const producers = await Promise.all([1, 2, 3, 4].map(() => fixture.database.connect()));
    const seed = Date.now() % 2 ** 31;
    console.log('seed', seed);
    const random = draws(seed);
    let relay = fixture.relay(sinks);
    await relay.start();
    const committed: string[] = [];
    for (let round = 0; round < 3; round += 1) {
      const work = producers.map((client) => produce(client, { random, transactions: 12 }));
      // A restart in the middle, and one after everything has come: both must go on at the checkpoints.
      if (round > 0) {
        await relay.stop();
        relay = fixture.relay(sinks);
        await relay.start();
      }
      committed.push(...(await Promise.all(work)).flat());
      await consumer.has(committed.length);
      await eventually(
        () => fixture.rows('select from event_runtime.webhook_delivery'),
        (rows) => rows.length >= committed.length,
      );
    }
    await relay.stop();

    expect(consumer.events.map(({ event }) => event.eventId).toSorted()).toEqual(committed.toSorted());
    const stored = await fixture.rows<{ key: string; ids: string[] }>(
      `select tenant_id || '/' || entity_key as key, array_agg(event_id::text order by seq) as ids
       from event_runtime.outbox group by 1`,
    );
    expect(byEntity(consumer.events)).toEqual(new Map(stored.map(({ key, ids }) => [key, ids])));
    const deliveries = await fixture.rows<{ event_id: string; entity_key: string }>(
      'select event_id::text, entity_key from event_runtime.webhook_delivery order by delivery_id',
    );
    const fanned = new Map<string, string[]>();
    for (const row of deliveries) {
      const key = `acme/${row.entity_key}`;
      fanned.set(key, [...(fanned.get(key) ?? []), row.event_id]);
    }
    expect(fanned).toEqual(new Map(stored.map(({ key, ids }) => [key, ids])));
  });

  test('payloads arrive byte for byte, and all fields as they were written', async () => {
    const consumer = new Consumer();
    const relay = fixture.relay([consumer.source]);
    await relay.start();
    const payloads = [
      '1.0',
      '{"big":9007199254740993,"tiny":1e-400,"zero":-0.0}',
      '{"a":1,"a":2,"b":{"z":1,"a":2}}',
      ' \n\t{ "x" :\r\n [ 1 ,2 ] }  \n ',
      '"nul \\u0000, pair \\ud83d\\ude00, slash \\/"',
      '{"astral":"😀𝕏","combining":"é","rtl":"אב","feff":"\ufeff"}',
      `{"filler":"${'ü'.repeat(2_500_000)}"}`,
      'null',
    ];
    for (const payload of payloads) await fixture.emit({ payload });
    await fixture.rows(
      `select event_runtime.emit(
         'claim.approved', '{}', tenant_id => 'tenant é', entity_key => E'key\\t1', ecosystem => 'ofb', event_version => 7,
         idempotency_key => 'idem', correlation_id => 'corr', causation_id => 'caus', source_service => 'svc',
         traceparent => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
         headers => '{"one":"1 %","two":"\\u00e9é"}')`,
    );
    await fixture.emit({ entityKey: null });
    await consumer.has(payloads.length + 2);
    const hash = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');
    const arrived = consumer.events.slice(0, payloads.length).map(({ event }) => event.payload);
    expect(arrived.map((bytes) => bytes.length)).toEqual(payloads.map((text) => Buffer.byteLength(text)));
    expect(arrived.map(hash)).toEqual(payloads.map(hash));

    const [full, bare] = consumer.events.slice(-2);
    const [row] = await fixture.rows<Record<string, string>>(
      `select event_id::text, seq::text, (recorded_at at time zone 'UTC')::text || '+00' as recorded_at
       from event_runtime.outbox where event_type = 'claim.approved'`,
    );
    expect(full!.event).toEqual({
      eventId: row!['event_id'],
      seq: BigInt(row!['seq']!),
      tenantId: 'tenant é',
      ecosystem: 'ofb',
      eventType: 'claim.approved',
      eventVersion: 7,
      entityKey: 'key\t1',
      idempotencyKey: 'idem',
      correlationId: 'corr',
      causationId: 'caus',
      sourceService: 'svc',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      headers: '{"one":"1 %","two":"\\u00e9é"}',
      payload: Buffer.from('{}'),
      recordedAt: row!['recorded_at'],
    });
    expect(bare!.event).toMatchObject({
      entityKey: null,
      ecosystem: null,
      idempotencyKey: null,
      correlationId: null,
      causationId: null,
      sourceService: null,
      traceparent: null,
      headers: null,
    });
    // By the server's clock and ours, which are one here.
    expect(full!.committedAt).toBeGreaterThan(Date.now() - 60_000);
    expect(full!.capturedAt).toBeGreaterThanOrEqual(full!.committedAt);
  });

  test('events of a partition that was attached while the relay runs', async () => {
    const consumer = new Consumer();
    const relay = fixture.relay([consumer.source]);
    await relay.start();
    await fixture.emit({ eventType: 'before' });
    await consumer.has(1);
    const reports = await ensurePartitions(await fixture.database.connect(), { daysAhead: 45 });
    expect(reports.find((report) => report.table === 'outbox')?.created).toBeGreaterThan(0);
    // By hand, because emit writes today only: into the newest of the days that were made now.
    await fixture.rows(
      `insert into event_runtime.outbox (event_id, tenant_id, event_type, payload, recorded_at)
       select event_runtime.uuid_v7(), 'acme', 'of a new partition', '{}', now() + interval '44 days'`,
    );
    await fixture.emit({ eventType: 'after' });
    await consumer.has(3);
    expect(consumer.types).toEqual(['before', 'of a new partition', 'after']);
  });

  test('a transaction of 50,000 events flows through, in order, and the slot moves behind it', async () => {
    const seen: bigint[] = [];
    const consumer = new Consumer();
    consumer.gate = ({ event }) => void seen.push(event.seq);
    const relay = fixture.relay([consumer.source], { windowBytes: 2 * 1024 * 1024 });
    await relay.start();
    await fixture.live(relay);
    await fixture.rows(
      `select count(*) from event_runtime.emit_many(
         array_fill('bulk'::text, array[50000]), array_fill('{"n":1}'::json, array[50000]), array['acme'])`,
    );
    const end = await fixture.walPosition();
    await consumer.has(50_000);
    expect(seen.findIndex((seq, at) => at > 0 && seq <= seen[at - 1]!)).toBe(-1);
    expect(new Set(consumer.events.map(({ position }) => position?.ordinal)).size).toBe(50_000);
    expect(new Set(consumer.events.map(({ position }) => position?.lsn)).size).toBe(1);
    await fixture.confirmedReaches(end);
  });
});
