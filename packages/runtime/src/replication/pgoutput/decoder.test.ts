import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { decodeRecording } from '../../testing/pgoutput-recording.ts';
import { decodeFrame } from '../frames.ts';
import { parseLsn } from '../lsn.ts';
import { PgoutputDecoder } from './decoder.ts';
import type { PgoutputMessage, RelationMessage } from './messages.ts';
import { ByteReader } from './reader.ts';
import type { Tuple } from './tuple.ts';

const names = ['postgres-15', 'postgres-15-binary', 'postgres-18', 'postgres-18-binary'] as const;

function recorded(name: (typeof names)[number]): readonly Buffer[] {
  return decodeRecording(readFileSync(new URL(`fixtures/${name}.bin`, import.meta.url))).frames;
}

/** Decodes a recording's pgoutput messages; keepalives are read and left out. */
function decoded(name: (typeof names)[number]): PgoutputMessage[] {
  const decoder = new PgoutputDecoder();
  const messages: PgoutputMessage[] = [];
  for (const frame of recorded(name)) {
    const message = decodeFrame(new ByteReader(frame), decoder);
    if (message.kind !== 'keepalive') messages.push(message);
  }
  return messages;
}

function ofKind<K extends PgoutputMessage['kind']>(
  messages: readonly PgoutputMessage[],
  kind: K,
): Extract<PgoutputMessage, { kind: K }>[] {
  return messages.filter((one) => one.kind === kind) as Extract<PgoutputMessage, { kind: K }>[];
}

function texts(tuple: Tuple | null): (string | null | undefined)[] | null {
  return tuple === null ? null : Array.from({ length: tuple.length }, (_, column) => tuple.text(column));
}

function tableOf(message: { readonly relation: RelationMessage }): string {
  return `${message.relation.schema}.${message.relation.name}`;
}

/** An error's code, or what happened instead. */
function codeOf(frame: Buffer, decoder: PgoutputDecoder = new PgoutputDecoder()): string {
  try {
    return decoder.decode(new ByteReader(frame)).kind;
  } catch (cause) {
    return (cause as { code?: string }).code ?? String(cause);
  }
}

describe.each(names)('what %s recorded', (name) => {
  const messages = decoded(name);
  const binary = name.endsWith('binary');

  test('has every kind of message that version 1 knows', () => {
    expect([...new Set(messages.map((one) => one.kind))].toSorted()).toEqual([
      'begin',
      'commit',
      'delete',
      'insert',
      'message',
      'origin',
      'relation',
      'truncate',
      'type',
      'update',
    ]);
  });

  test('nests: each change stands between its begin and its commit, which follow each other', () => {
    let open: { finalLsn: bigint; committedAt: number } | undefined;
    let end = 0n;
    for (const message of messages) {
      if (message.kind === 'begin') {
        expect(open).toBeUndefined();
        open = message;
      } else if (message.kind === 'commit') {
        expect(message.commitLsn).toBe(open?.finalLsn);
        expect(message.committedAt).toBe(open?.committedAt);
        expect(message.commitLsn).toBeGreaterThanOrEqual(end);
        expect(message.endLsn).toBeGreaterThan(message.commitLsn);
        end = message.endLsn;
        open = undefined;
      } else {
        expect(open !== undefined || (message.kind === 'message' && !message.transactional)).toBe(true);
      }
    }
    expect(open).toBeUndefined();
    const times = ofKind(messages, 'commit').map((one) => one.committedAt);
    // One transaction says that it came from elsewhere, and when it was committed there.
    expect(times.pop()).toBe(Date.UTC(2026, 10, 20, 10));
    expect(Math.min(...times)).toBeGreaterThan(Date.UTC(2026, 10));
    expect(Math.max(...times) - Math.min(...times)).toBeLessThan(60_000);
  });

  test('gives rows as they were written: text, null, empty, unicode, large', () => {
    const rows = ofKind(messages, 'insert').filter((one) => one.relation.name === 'plain');
    const bodies = rows.map((one) => texts(one.row));
    expect(bodies[1]?.slice(1)).toEqual(['ção 日本語 🦀 \\ "quoted"', '', 'a\n\u0001b']);
    expect(bodies[2]?.slice(1)).toEqual([null, null, null]);
    expect(bodies[3]?.slice(1)).toEqual(['', '', '']);
    expect(bodies[4]?.[1]).toBe('é'.repeat(3_000));
    expect(bodies[0]?.[2]).toMatch(/^c4ca4238a0b923820dcc509a6f75849b[0-9a-f]{12768}$/);
    expect(bodies.flat().filter((body) => body?.includes('rolled back') === true)).toEqual([]);
    expect(bodies.map((one) => one?.[1]).filter((body) => body?.includes('kept') === true)).toEqual([
      'kept',
      'kept',
    ]);
    const row = rows[0]?.row;
    expect(row?.bytes(2)?.toString()).toBe(bodies[0]?.[2]);
    expect(row?.bytes(3)).toBeNull();
    expect(row?.bytes(0)).toEqual(binary ? Buffer.from([0, 0, 0, 1]) : Buffer.from('1'));
    expect(() => row?.text(4)).toThrow(RangeError);
  });

  test('gives old rows by replica identity, and leaves out what an update did not touch', () => {
    const updates = ofKind(messages, 'update');
    const of = (table: string, nth: number): (typeof updates)[number] | undefined =>
      updates.filter((one) => one.relation.name === table)[nth];
    const untouched = of('plain', 0);
    expect(untouched?.relation.replicaIdentity).toBe('default');
    expect([untouched?.key, untouched?.old]).toEqual([null, null]);
    expect(texts(untouched?.row ?? null)?.slice(1)).toEqual([
      'the big value stays where it is',
      undefined,
      null,
    ]);
    expect(untouched?.row.bytes(2)).toBeUndefined();
    expect(texts(of('plain', 1)?.key ?? null)?.slice(1)).toEqual([null, null, null]);
    const whole = of('whole', 0);
    expect(whole?.relation.replicaIdentity).toBe('full');
    expect(whole?.key).toBeNull();
    expect(texts(whole?.old ?? null)?.[1]).toBe('old');
    expect(texts(whole?.row ?? null)?.[1]).toBe('new');
    const keyed = of('keyed', 0);
    expect(keyed?.relation.replicaIdentity).toBe('index');
    expect(keyed?.relation.columns.map((one) => one.key)).toEqual([false, true, false]);
    expect(texts(keyed?.key ?? null)).toEqual([null, 'a', null]);
    const deletes = ofKind(messages, 'delete');
    expect(deletes.map((one) => [one.relation.name, one.key === null, one.old === null])).toEqual([
      ['plain', false, true],
      ['whole', true, false],
      ['keyed', false, true],
    ]);
  });

  test('follows tables as they change, and names partitions by their root', () => {
    const inserts = ofKind(messages, 'insert');
    const columns = inserts
      .filter((one) => one.relation.name.startsWith('chang'))
      .map((one) => [
        one.relation.name,
        one.relation.columns.map((column) => column.name).join(),
        one.row.length,
      ]);
    expect(columns).toEqual([
      ['changing', 'id,a', 2],
      ['changing', 'id,a,b', 3],
      ['changing', 'id,b', 2],
      ['changed', 'id,b', 2],
    ]);
    expect(inserts.filter((one) => one.relation.name.startsWith('parted')).map(tableOf)).toEqual([
      'public.parted',
      'public.parted',
    ]);
    const empty = inserts.find((one) => one.relation.name === 'empty');
    expect([empty?.row.length, empty?.relation.columns.length]).toEqual([0, 0]);
    expect(inserts.find((one) => one.relation.name === 'unkeyed')?.relation.replicaIdentity).toBe('nothing');
  });

  test('names types, truncations, origins and logical messages', () => {
    expect(new Set(ofKind(messages, 'type').map((one) => `${one.schema}.${one.name}`))).toEqual(
      new Set(['public.mood', 'public._mood', '.text']),
    );
    expect(
      ofKind(messages, 'truncate').map((one) => [
        one.relations.map((relation) => relation.name),
        one.cascade,
        one.restartIdentity,
      ]),
    ).toEqual([
      [['child'], false, true],
      [['plain', 'whole', 'child'], true, false],
    ]);
    expect(ofKind(messages, 'origin').map((one) => [one.originLsn, one.name])).toEqual([
      [parseLsn('0/1234ABCD'), 'an_origin_postgres'],
    ]);
    expect(
      ofKind(messages, 'message').map((one) => [one.transactional, one.prefix, one.content.toString()]),
    ).toEqual([
      [true, 'transactional', 'content ção'],
      [false, 'not transactional', ''],
    ]);
  });

  test('shows why an LSN is no position: the rows of one COPY share one', () => {
    const positions: bigint[] = [];
    const decoder = new PgoutputDecoder();
    for (const frame of recorded(name)) {
      const message = decodeFrame(new ByteReader(frame), decoder);
      const id = message.kind === 'insert' && message.relation.name === 'plain' ? message.row.bytes(0) : null;
      const number = binary ? (id?.readInt32BE() ?? 0) : Number(id?.toString());
      if (number >= 100 && number < 120) positions.push(frame.readBigUInt64BE(1));
    }
    expect(positions).toHaveLength(20);
    expect(new Set(positions).size).toBe(1);
  });

  test('is refused when a byte is missing or one is too many', () => {
    const decoder = new PgoutputDecoder();
    for (const frame of recorded(name)) {
      if (frame[0] !== 0x77) continue;
      const message = frame.subarray(25);
      decoder.decode(new ByteReader(message));
      const longer = Buffer.concat([message, Buffer.alloc(1)]);
      expect(codeOf(longer, decoder)).toBe('ER3001');
      const step = Math.max(1, Math.floor(message.length / 200));
      for (let length = 0; length < message.length; length += step) {
        expect(codeOf(message.subarray(0, length), decoder)).toBe('ER3001');
      }
    }
  });
});

describe('the decoder', () => {
  test('refuses a kind that version 1 has not with ER3002', () => {
    for (const kind of 'SEcAbPKrpzx') expect(codeOf(Buffer.from(kind))).toBe('ER3002');
  });

  test('refuses a row of a table that it was not told of with ER3003', () => {
    expect(codeOf(Buffer.from([0x49, 0, 0, 0, 1, 0x4e, 0, 0]))).toBe('ER3003');
  });

  test('does not believe a Relation message that has bytes left over', () => {
    const relation = Buffer.concat([
      Buffer.from([0x52, 0, 0, 0, 1]),
      Buffer.from('s\0t\0d'),
      Buffer.alloc(2),
    ]);
    const decoder = new PgoutputDecoder();
    expect(codeOf(Buffer.concat([relation, Buffer.alloc(1)]), decoder)).toBe('ER3001');
    const insert = Buffer.from([0x49, 0, 0, 0, 1, 0x4e, 0, 0]);
    expect(codeOf(insert, decoder)).toBe('ER3003');
    expect(codeOf(relation, decoder)).toBe('relation');
    expect(codeOf(insert, decoder)).toBe('insert');
  });

  test('takes no memory for lengths that are not there', () => {
    const before = process.memoryUsage();
    const message = Buffer.concat([
      Buffer.from([0x4d, 0]),
      Buffer.alloc(8),
      Buffer.from('prefix\0'),
      Buffer.from([0x7f, 0xff, 0xff, 0xff]),
    ]);
    const truncate = Buffer.from([0x54, 0xff, 0xff, 0xff, 0xff, 0]);
    const negative = Buffer.concat([message.subarray(0, -4), Buffer.from([0xff, 0xff, 0xff, 0xff])]);
    for (let round = 0; round < 100; round += 1) {
      for (const frame of [message, truncate, negative]) expect(codeOf(frame)).toBe('ER3001');
    }
    const after = process.memoryUsage();
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(10_000_000);
  });
});
