import { isEventRuntimeError } from '../../packages/outbox/src/errors/coded-error.ts';
import { BackendFramer } from '../../packages/runtime/src/replication/backend-framer.ts';
import { decodeFrame, type Keepalive } from '../../packages/runtime/src/replication/frames.ts';
import { PgoutputDecoder } from '../../packages/runtime/src/replication/pgoutput/decoder.ts';
import type { PgoutputMessage } from '../../packages/runtime/src/replication/pgoutput/messages.ts';
import { ByteReader } from '../../packages/runtime/src/replication/pgoutput/reader.ts';
import type { Tuple } from '../../packages/runtime/src/replication/pgoutput/tuple.ts';
import { type SeededRandom, seededRandom } from '../../packages/runtime/src/testing/seeded-random.ts';
import { messageOffset, mutate } from './mutation.ts';

/** What became of the frames of one kind. */
export interface Reach {
  decoded: number;
  refused: number;
}

export interface FuzzResult {
  readonly frames: number;
  /** By the kind that stood in the frame after it was damaged; `keepalive` for those, `other` for no kind. */
  readonly reach: Readonly<Record<string, Reach>>;
  /** How often each code was thrown. */
  readonly codes: Readonly<Record<string, number>>;
  /** Kinds of column that came out of decoded rows. */
  readonly columns: Readonly<Record<string, number>>;
  readonly slowestMs: number;
  /** By how much memory outside of the JavaScript heap grew at most. */
  readonly grownBytes: number;
  /** What must not be: the frame in hexadecimal, and what happened. At most ten. */
  readonly failures: readonly string[];
}

/** Kinds of pgoutput message that must have been both decoded and refused, or the run proves nothing. */
export const kinds: readonly string[] = ['B', 'C', 'O', 'R', 'Y', 'I', 'U', 'D', 'T', 'M'];
const allowedCodes = new Set(['ER3001', 'ER3002', 'ER3003']);
/** A frame takes microseconds; this is for a machine that is busy with something else. */
const slowestAllowedMs = 1_000;
const mostGrowthAllowed = 256 * 1_024 * 1_024;
/** A new decoder now and then: damaged Relation messages replace the right ones. */
const framesPerDecoder = 500;
const framesPerWire = 20;
const xlogDataKind = 0x77; // w
const keepaliveKind = 0x6b; // k

/** Damages recorded frames and decodes them. The same seed gives the same frames. */
export class DecoderFuzz {
  readonly #recordings: readonly (readonly Buffer[])[];
  readonly #random: SeededRandom;
  readonly #reach: Record<string, Reach> = {};
  readonly #codes: Record<string, number> = {};
  readonly #columns: Record<string, number> = {};
  readonly #failures: string[] = [];
  #slowestMs = 0;
  #grownBytes = 0;

  constructor(recordings: readonly (readonly Buffer[])[], seed: number) {
    this.#recordings = recordings;
    this.#random = seededRandom(seed);
    for (const kind of [...kinds, 'keepalive', 'other']) this.#reach[kind] = { decoded: 0, refused: 0 };
  }

  run(frames: number): FuzzResult {
    const before = outside();
    for (let done = 0; done < frames && this.#failures.length < 10; ) {
      const recording = this.#random.pick(this.#recordings);
      const decoder = new PgoutputDecoder();
      for (const frame of recording) decode(frame, decoder);
      const wire: Buffer[] = [];
      for (let count = 0; count < framesPerDecoder && done < frames; count += 1, done += 1) {
        const frame = mutate(this.#random.pick(recording), this.#random, recording);
        this.#one(frame, decoder);
        if (count < framesPerWire) wire.push(frame);
      }
      this.#overTheWire(wire);
      this.#grownBytes = Math.max(this.#grownBytes, outside() - before);
    }
    if (this.#grownBytes > mostGrowthAllowed) this.#fail('memory', `grew by ${this.#grownBytes} bytes`);
    return {
      frames,
      reach: this.#reach,
      codes: this.#codes,
      columns: this.#columns,
      slowestMs: this.#slowestMs,
      grownBytes: this.#grownBytes,
      failures: [...this.#failures, ...this.#unreached()],
    };
  }

  #one(frame: Buffer, decoder: PgoutputDecoder): void {
    const reach = this.#reach[kindOf(frame)] as Reach;
    const started = performance.now();
    try {
      this.#readAll(decode(frame, decoder));
      reach.decoded += 1;
    } catch (cause) {
      reach.refused += 1;
      this.#judge(cause, frame);
    }
    const took = performance.now() - started;
    if (took > this.#slowestMs) this.#slowestMs = took;
    if (took > slowestAllowedMs) this.#fail(frame.toString('hex'), `took ${took} ms`);
  }

  /** Frames as the socket brings them: wrapped, damaged once more, cut anywhere. */
  #overTheWire(frames: readonly Buffer[]): void {
    const random = this.#random;
    const wrapped = frames.map((frame) => {
      const header = Buffer.from([0x64, 0, 0, 0, 0]);
      header.writeInt32BE(frame.length + 4, 1);
      return Buffer.concat([header, frame]);
    });
    let bytes: Buffer = Buffer.concat(wrapped);
    if (random.below(2) === 0) bytes = mutate(bytes, random, wrapped);
    const framer = new BackendFramer();
    const decoder = new PgoutputDecoder();
    try {
      while (bytes.length > 0) {
        const cut = 1 + random.below(random.below(2) === 0 ? 8 : 8_192);
        framer.push(bytes.subarray(0, cut), (_kind, payload) => {
          try {
            decodeFrame(payload, decoder);
          } catch (cause) {
            this.#judge(cause, payload.bytes);
          }
        });
        bytes = bytes.subarray(cut);
      }
    } catch (cause) {
      this.#judge(cause, bytes);
    }
  }

  /** Reads every column: rows are decoded on demand, and a wrong offset shows only then. */
  #readAll(message: PgoutputMessage | Keepalive): void {
    if (message.kind === 'insert') this.#readRow(message.row);
    if (message.kind === 'update' || message.kind === 'delete') {
      for (const row of [message.key, message.old]) if (row !== null) this.#readRow(row);
    }
    if (message.kind === 'update') this.#readRow(message.row);
  }

  #readRow(row: Tuple): void {
    for (let column = 0; column < row.length; column += 1) {
      const bytes = row.bytes(column);
      const kind = columnKind(bytes);
      this.#columns[kind] = (this.#columns[kind] ?? 0) + 1;
      const text = row.text(column);
      if (typeof text === 'string' && text !== bytes?.toString()) {
        this.#fail(bytes?.toString('hex') ?? '', `column ${column} reads as another text`);
      }
    }
  }

  #judge(cause: unknown, frame: Buffer): void {
    if (isEventRuntimeError(cause) && allowedCodes.has(cause.code)) {
      this.#codes[cause.code] = (this.#codes[cause.code] ?? 0) + 1;
    } else {
      this.#fail(frame.toString('hex').slice(0, 4_000), String(cause));
    }
  }

  #fail(where: string, what: string): void {
    if (this.#failures.length < 10) this.#failures.push(`${what}: ${where}`);
  }

  #unreached(): string[] {
    const wanted = [...kinds, 'keepalive'];
    const missing = wanted.filter((kind) => {
      const reach = this.#reach[kind] as Reach;
      return reach.decoded === 0 || reach.refused === 0;
    });
    const columns = ['null', 'unchanged', 'value'].filter((kind) => this.#columns[kind] === undefined);
    return [
      ...missing.map((kind) => `kind ${kind} was not both decoded and refused`),
      ...columns.map((kind) => `no ${kind} column was decoded`),
    ];
  }
}

function decode(frame: Buffer, decoder: PgoutputDecoder): PgoutputMessage | Keepalive {
  return decodeFrame(new ByteReader(frame), decoder);
}

function kindOf(frame: Buffer): string {
  if (frame[0] === keepaliveKind) return 'keepalive';
  const kind = frame[0] === xlogDataKind ? String.fromCharCode(frame[messageOffset] ?? 0) : '';
  return kinds.includes(kind) ? kind : 'other';
}

function columnKind(bytes: Buffer | null | undefined): string {
  if (bytes === undefined) return 'unchanged';
  return bytes === null ? 'null' : 'value';
}

function outside(): number {
  const { arrayBuffers, external } = process.memoryUsage();
  return arrayBuffers + external;
}
