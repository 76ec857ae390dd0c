import { expect, test } from 'vitest';
import type { RelationMessage } from '../replication/pgoutput/messages.ts';
import { ByteReader } from '../replication/pgoutput/reader.ts';
import { Tuple } from '../replication/pgoutput/tuple.ts';
import { isOutbox, readOutboxRow, TransactionId } from './outbox-row.ts';

const values: Readonly<Record<string, string | null>> = {
  recorded_at: '2026-11-20 10:00:00.123456+00',
  payload: ' {"n": 1.0, "big": 9007199254740993, "s": "\\u0000 é"}\n',
  event_id: '01a1fbfe-d2c6-722a-be7c-d716c0c2014e',
  seq: '9223372036854775807',
  tx_id: '1234',
  tenant_id: 'acme',
  ecosystem: 'ofb',
  event_type: 'claim.approved',
  event_version: '3',
  entity_key: 'key',
  idempotency_key: 'idem',
  correlation_id: 'corr',
  causation_id: 'caus',
  source_service: 'svc',
  traceparent: 'trace',
  headers: '{"a": "1"}',
};

function relation(columns: readonly string[], name = 'outbox'): RelationMessage {
  return {
    kind: 'relation',
    relationId: 1,
    schema: 'event_runtime',
    name,
    replicaIdentity: 'd',
    columns: columns.map((column) => ({ name: column, typeId: 25, typeModifier: -1, key: false })),
  } as unknown as RelationMessage;
}

/** A TupleData as pgoutput writes it. */
function tuple(row: Readonly<Record<string, string | null>>): Tuple {
  const parts: Buffer[] = [Buffer.from([0, Object.keys(row).length])];
  for (const value of Object.values(row)) {
    if (value === null) {
      parts.push(Buffer.from('n'));
      continue;
    }
    const length = Buffer.alloc(4);
    length.writeInt32BE(Buffer.byteLength(value));
    parts.push(Buffer.from('t'), length, Buffer.from(value));
  }
  return Tuple.read(new ByteReader(Buffer.concat(parts)));
}

function read(row: Readonly<Record<string, string | null>>) {
  return readOutboxRow(relation(Object.keys(row)), tuple(row));
}

test('columns are found by name, wherever they stand; those that are not known are passed over', () => {
  expect(read(values)).toEqual({
    eventId: values['event_id'],
    seq: 9_223_372_036_854_775_807n,
    tenantId: 'acme',
    ecosystem: 'ofb',
    eventType: 'claim.approved',
    eventVersion: 3,
    entityKey: 'key',
    idempotencyKey: 'idem',
    correlationId: 'corr',
    causationId: 'caus',
    sourceService: 'svc',
    traceparent: 'trace',
    headers: '{"a": "1"}',
    payload: Buffer.from(values['payload']!),
    recordedAt: values['recorded_at'],
  });
  const turned = Object.fromEntries(Object.entries({ ...values, future: 'x' }).toReversed());
  expect(read(turned)).toEqual(read(values));
});

test('what may be null', () => {
  const optional = {
    ecosystem: null,
    entity_key: null,
    idempotency_key: null,
    correlation_id: null,
    causation_id: null,
    source_service: null,
    traceparent: null,
    headers: null,
  };
  expect(read({ ...values, ...optional })).toMatchObject({ ecosystem: null, entityKey: null, headers: null });
});

test('the transaction of a row, wherever it stands; another one is another one', () => {
  const id = new TransactionId();
  const of = (row: Readonly<Record<string, string | null>>): bigint =>
    id.of(relation(Object.keys(row)), tuple(row));
  expect(of(values)).toBe(1_234n);
  expect(of({ ...values, seq: '1' })).toBe(1_234n);
  expect(of({ ...values, tx_id: '18446744073709551615' })).toBe(18_446_744_073_709_551_615n);
  expect(of({ ...values, tx_id: '18446744073709551614' })).toBe(18_446_744_073_709_551_614n);
  expect(of({ ...values, tx_id: '123' })).toBe(123n);
  expect(() => of({ ...values, tx_id: null })).toThrow(/ER3005.*tx_id/);
});

test.each(['event_id', 'seq', 'tenant_id', 'event_type', 'event_version', 'payload', 'recorded_at'])(
  '%s must be there: ER3005 names it',
  (column) => {
    expect(() => read({ ...values, [column]: null })).toThrow(new RegExp(`ER3005.*${column}`));
  },
);

test.each(Object.keys(values))('a table without %s: ER3005 names it', (column) => {
  const { [column]: _left, ...rest } = values;
  expect(() => read(rest)).toThrow(new RegExp(`ER3005.*Missing: ${column}\\.`));
});

test('only event_runtime.outbox holds events', () => {
  expect(isOutbox(relation([]))).toBe(true);
  expect(isOutbox(relation([], 'outbox_key'))).toBe(false);
  expect(isOutbox({ ...relation([]), schema: 'public' })).toBe(false);
});
