import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BackendFramer } from './backend-framer.ts';

interface Message {
  readonly kind: number;
  readonly payload: Uint8Array;
}

const messages = fc.array(
  fc.record({ kind: fc.integer({ min: 0, max: 255 }), payload: fc.uint8Array({ maxLength: 40 }) }),
  { maxLength: 20 },
);

function encode(all: readonly Message[]): Buffer {
  return Buffer.concat(
    all.map(({ kind, payload }) => {
      const header = Buffer.alloc(5);
      header[0] = kind;
      header.writeInt32BE(payload.length + 4, 1);
      return Buffer.concat([header, payload]);
    }),
  );
}

/** Cuts at the given places, each taken modulo the length; empty pieces too. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = places.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b);
  return [0, ...at].map((from, index) => Buffer.from(bytes.subarray(from, at[index] ?? bytes.length)));
}

function read(framer: BackendFramer, chunks: readonly Buffer[]): { kind: number; payload: Buffer }[] {
  const found: { kind: number; payload: Buffer }[] = [];
  for (const chunk of chunks) {
    framer.push(chunk, (kind, payload) => {
      found.push({ kind, payload: payload.bytes.subarray(payload.position, payload.end) });
      // A visitor may stop anywhere in the payload.
      payload.position = payload.end;
    });
  }
  return found;
}

describe('the framer', () => {
  test('finds the same messages however the bytes were cut, and their slices stay right', () => {
    fc.assert(
      fc.property(messages, fc.array(fc.nat(2_000), { maxLength: 40 }), (all, places) => {
        const found = read(new BackendFramer(), cut(encode(all), places));
        expect(found.map(({ kind, payload }) => ({ kind, payload: [...payload] }))).toEqual(
          all.map(({ kind, payload }) => ({ kind, payload: [...payload] })),
        );
      }),
      { numRuns: 1_000 },
    );
  });

  test('finds them byte by byte', () => {
    const all = [
      { kind: 1, payload: Buffer.from('one') },
      { kind: 2, payload: Buffer.alloc(0) },
      { kind: 3, payload: Buffer.from('three') },
    ];
    const bytes = [...encode(all)].map((byte) => Buffer.from([byte]));
    expect(read(new BackendFramer(), bytes).map((one) => one.payload.toString())).toEqual([
      'one',
      '',
      'three',
    ]);
  });

  test('reads a whole message where it lies, and copies only one that crosses chunks', () => {
    const chunk = encode([
      { kind: 1, payload: Buffer.from('whole') },
      { kind: 2, payload: Buffer.from('crossing') },
    ]);
    const [first, second] = [chunk.subarray(0, 16), chunk.subarray(16)];
    const [whole, crossing] = read(new BackendFramer(), [first, second]);
    expect(whole?.payload.toString()).toBe('whole');
    chunk.fill(0);
    expect(whole?.payload).toEqual(Buffer.alloc(5));
    expect(crossing?.payload.toString()).toBe('crossing');
  });

  test.each([-1, 0, 3, 0x4000_0001, 0x7fff_ffff])(
    'refuses the length %d with ER3001, also cut in two',
    (length) => {
      const bytes = Buffer.alloc(20);
      bytes.writeInt32BE(length, 1);
      for (const chunks of [[bytes], [bytes.subarray(0, 3), bytes.subarray(3)]]) {
        expect(() => read(new BackendFramer(), chunks)).toThrow(/^ER3001/);
      }
    },
  );

  test('takes no memory for a length that has not come', () => {
    const header = Buffer.from([0x64, 0x3f, 0xff, 0xff, 0xff]);
    const before = process.memoryUsage().arrayBuffers;
    const framers = Array.from({ length: 20 }, () => new BackendFramer());
    for (const framer of framers) expect(read(framer, [header, Buffer.alloc(100)])).toEqual([]);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000);
  });
});
