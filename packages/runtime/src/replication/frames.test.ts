import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeFrame, decodeStatusUpdate, encodeStatusUpdate } from './frames.ts';
import { toLsn } from './lsn.ts';
import { PgoutputDecoder } from './pgoutput/decoder.ts';
import { ByteReader } from './pgoutput/reader.ts';

const lsns = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(toLsn);

test('a status update reports one position three times, and reads back', () => {
  fc.assert(
    fc.property(lsns, fc.boolean(), (confirmed, replyRequested) => {
      const frame = encodeStatusUpdate({ confirmed, now: Date.now(), replyRequested });
      expect(decodeStatusUpdate(frame)).toEqual({
        written: confirmed,
        flushed: confirmed,
        applied: confirmed,
        replyRequested,
      });
    }),
  );
});

test('the clock in a status update is microseconds since 2000', () => {
  const now = Date.UTC(2000, 0, 1, 0, 0, 1) + 0.5;
  expect(encodeStatusUpdate({ confirmed: toLsn(0n), now, replyRequested: false }).readBigInt64BE(25)).toBe(
    1_000_000n,
  );
});

test('a frame that is no status update is not read as one', () => {
  const frame = encodeStatusUpdate({ confirmed: toLsn(1n), now: 0, replyRequested: false });
  expect(decodeStatusUpdate(frame.subarray(1))).toBeUndefined();
  frame[0] = 0x77;
  expect(decodeStatusUpdate(frame)).toBeUndefined();
});

function read(frame: Buffer): unknown {
  return decodeFrame(new ByteReader(frame), new PgoutputDecoder());
}

test('a keepalive gives the end of the WAL, the server clock and whether it waits for an answer', () => {
  fc.assert(
    fc.property(lsns, fc.boolean(), (walEnd, replyRequested) => {
      const frame = Buffer.alloc(18, 0x6b);
      frame.writeBigUInt64BE(walEnd, 1);
      frame.writeBigInt64BE(-1_500n, 9);
      frame[17] = replyRequested ? 1 : 0;
      const sentAt = Date.UTC(2000) - 1.5;
      expect(read(frame)).toEqual({ kind: 'keepalive', walEnd, sentAt, replyRequested });
    }),
  );
});

test('XLogData gives the message behind its header', () => {
  const header = Buffer.alloc(25, 0xff);
  header[0] = 0x77;
  const type = Buffer.from([0x59, 0, 0, 0, 7, 0x73, 0, 0x74, 0]);
  expect(read(Buffer.concat([header, type]))).toEqual({ kind: 'type', oid: 7, schema: 's', name: 't' });
});

test('frames that are cut short or too long are ER3001, other kinds ER3002', () => {
  for (const kind of [0x6b, 0x77]) {
    for (const length of [1, 2, 17, 25]) {
      const frame = Buffer.alloc(length);
      frame[0] = kind;
      expect(() => read(frame)).toThrow(/^ER3001/);
    }
  }
  expect(() => read(Buffer.alloc(0))).toThrow(/^ER3001/);
  expect(() => read(Buffer.alloc(40))).toThrow(/^ER3002/);
});
