import { describe, expect, inject, test } from 'vitest';
import { attachTable, planAttachment } from '../schema/attached/attach.ts';
import { parseMapping } from '../schema/attached/mapping.ts';
import type { TablePreset } from '../schema/attached/presets.ts';
import { Consumer, RelayFixture } from './relay-fixture.suite.ts';

interface Case {
  readonly table: string;
  readonly map: readonly string[];
  /** `$n` is the number of the row. */
  readonly insert: string;
  /** Of the third event. */
  readonly event: Readonly<Record<string, unknown>>;
}

const id = (n: number): string => `0198c0de-7b8e-7c11-9d0c-00000000000${n}`;
const trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

/** Each as its documents write it. */
const cases: Readonly<Record<TablePreset, Case>> = {
  debezium: {
    table: `create table public."OutboxEvent" (
      id uuid not null primary key, aggregatetype varchar(255) not null, aggregateid varchar(255) not null,
      type varchar(255) not null, payload jsonb, timestamp timestamptz, tracingspancontext varchar(256))`,
    map: ['tenant=:acme'],
    insert: `insert into "OutboxEvent" values ('0198c0de-7b8e-7c11-9d0c-00000000000$n', 'Order', '17', 'OrderCreated',
      '{"n": $n}', now(), E'#Fri Nov 20 10:00:00 UTC 2026\\ntraceparent=${trace}\\n')`,
    event: {
      eventType: 'OrderCreated',
      tenantId: 'acme',
      entityKey: 'Order/17',
      idempotencyKey: null,
      traceparent: trace,
      headers: `{"rowid":"${id(3)}","aggregatetype":"Order"}`,
    },
  },
  'prisma-outbox': {
    table: `create table public.outbox_events (
      id text not null primary key default gen_random_uuid(), "tenantId" text not null, "eventId" text not null unique,
      "eventType" text not null, payload jsonb not null, "correlationId" text, "idempotencyKey" text,
      status text not null default 'PENDING', attempts int not null default 0,
      "nextAttemptAt" timestamp(3) not null default current_timestamp, "lastError" text, "sourceService" text not null,
      "createdAt" timestamp(3) not null default current_timestamp, "publishedAt" timestamp(3),
      unique ("tenantId", "idempotencyKey"))`,
    map: [],
    insert: `insert into outbox_events ("tenantId", "eventId", "eventType", payload, "correlationId", "idempotencyKey",
      "sourceService") values ('acme', 'e-$n', 'payment.paid', '{"n": $n}', 'req-1', 'payment-paid-$n', 'payment-service')`,
    event: {
      eventType: 'payment.paid',
      tenantId: 'acme',
      entityKey: null,
      idempotencyKey: 'attached_public_outbox_events:key:payment-paid-3',
      correlationId: 'req-1',
      sourceService: 'payment-service',
      headers: '{"rowid":"e-3"}',
    },
  },
  'organization-outbox': {
    table: `create table public.outbox_events (
      id uuid primary key, event_name text not null, event_type text not null, payload jsonb not null,
      organization_id uuid not null, traceparent text, created_at timestamptz not null default now())`,
    map: [],
    insert: `insert into outbox_events (id, event_name, event_type, payload, organization_id, traceparent) values
      ('0198c0de-7b8e-7c11-9d0c-00000000000$n', 'CUSTOMER_CREATION', 'com.acme.customer.v1.created', '{"n": $n}',
       '0198c0de-0000-7000-8000-000000000000', '${trace}')`,
    event: {
      eventType: 'com.acme.customer.v1.created',
      tenantId: '0198c0de-0000-7000-8000-000000000000',
      entityKey: null,
      idempotencyKey: null,
      traceparent: trace,
      headers: `{"rowid":"${id(3)}","eventname":"CUSTOMER_CREATION"}`,
    },
  },
};

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  test.each(Object.entries(cases))(
    'rows of a table of form %s come through the relay, from the WAL and from the table',
    async (preset, { table, map, insert, event }) => {
      await using fixture = await RelayFixture.create(inject('postgres')[major]);
      const { sql } = fixture;
      await sql.query(table);
      const name = preset === 'debezium' ? 'public."OutboxEvent"' : 'outbox_events';
      const plan = await planAttachment(sql, {
        table: name,
        preset: preset as TablePreset,
        mapping: parseMapping(map),
      });
      await attachTable(sql, { plan });
      const [live, polled] = [new Consumer('live'), new Consumer('polled')];
      const relay = fixture.relay([live.source]);
      await relay.start();
      await fixture.live(relay);
      const poller = fixture.relay([polled.source], {
        name: `${fixture.slot}_poll`,
        source: 'table',
        pollMs: 20,
      });
      await poller.start();
      await sql.query('begin');
      for (const n of [1, 2]) await sql.query(insert.replaceAll('$n', String(n)));
      await sql.query('commit');
      await sql.query('begin');
      await sql.query(insert.replaceAll('$n', '9'));
      await sql.query('rollback');
      await sql.query(insert.replaceAll('$n', '3'));
      for (const consumer of [live, polled]) {
        await consumer.has(3);
        const seen = consumer.events.map((each) => each.event);
        expect(seen.map(({ payload }) => payload.toString())).toEqual(['{"n": 1}', '{"n": 2}', '{"n": 3}']);
        expect(seen[2]).toMatchObject(event);
      }
      expect(live.events[2]?.position).not.toBeNull();
      expect(polled.events[2]?.position).toBeNull();
      expect(polled.events.map((each) => each.event.eventId)).toEqual(
        live.events.map((each) => each.event.eventId),
      );
    },
  );
});
