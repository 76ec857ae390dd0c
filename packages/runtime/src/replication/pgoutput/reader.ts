import { runtimeError } from '../../errors/codes.ts';
import { type Lsn, toLsn } from '../lsn.ts';

/** 2000-01-01T00:00:00Z, where PostgreSQL counts its microseconds from, in milliseconds since 1970. */
const postgresEpoch = 946_684_800_000;

/**
 * A bounds-checked cursor over bytes: the integers are big-endian, as everywhere in PostgreSQL's protocol.
 *
 * One reader is moved from message to message (set {@link bytes}, {@link position} and {@link end}): an
 * object per message costs more than reading it. No method allocates by a length that was read but not
 * checked against what is there.
 *
 * Every method that wants more bytes than are left throws ER3001.
 */
export class ByteReader {
  bytes: Buffer;
  /** Where the next byte is read. */
  position: number;
  /** The first byte that is not ours any more. */
  end: number;

  constructor(bytes: Buffer = Buffer.alloc(0)) {
    this.bytes = bytes;
    this.position = 0;
    this.end = bytes.length;
  }

  get remaining(): number {
    return this.end - this.position;
  }

  /** @throws ER3001 fewer than `count` bytes are left */
  need(count: number): void {
    if (count > this.end - this.position) this.#short(count);
  }

  uint8(): number {
    const at = this.position;
    if (at >= this.end) this.#short(1);
    this.position = at + 1;
    return this.bytes[at] as number;
  }

  uint16(): number {
    const at = this.position;
    if (this.end - at < 2) this.#short(2);
    this.position = at + 2;
    return ((this.bytes[at] as number) << 8) | (this.bytes[at + 1] as number);
  }

  int32(): number {
    const at = this.position;
    if (this.end - at < 4) this.#short(4);
    this.position = at + 4;
    return int32At(this.bytes, at);
  }

  uint32(): number {
    return this.int32() >>> 0;
  }

  lsn(): Lsn {
    const high = this.uint32();
    const low = this.uint32();
    return toLsn((BigInt(high) << 32n) | BigInt(low));
  }

  /** Microseconds since 2000 on the wire; milliseconds since 1970 with a fraction in the result. */
  timestamp(): number {
    const high = this.int32();
    const low = this.uint32();
    return postgresEpoch + (high * 0x1_0000_0000 + low) / 1_000;
  }

  /** Text up to a zero byte. A copy: it holds no chunk alive. */
  cstring(): string {
    const { bytes, end, position } = this;
    let at = position;
    while (at < end && bytes[at] !== 0) at += 1;
    if (at === end) this.#malformed('a name without its closing zero');
    this.position = at + 1;
    return bytes.toString('utf8', position, at);
  }

  /** The next `length` bytes, not copied. @throws ER3001 also when the length is negative */
  slice(length: number): Buffer {
    if (length < 0) this.#malformed(`a length of ${length}`);
    this.need(length);
    const from = this.position;
    this.position = from + length;
    return this.bytes.subarray(from, this.position);
  }

  /** @throws ER3001 with what was found instead of what the protocol asks for */
  #malformed(what: string): never {
    throw runtimeError('ER3001', { detail: `Found ${what}, ${this.remaining} bytes before the end.` });
  }

  #short(wanted: number): never {
    throw runtimeError('ER3001', { detail: `Wanted ${wanted} bytes where ${this.remaining} are left.` });
  }
}

/** A signed 32-bit integer; the caller has checked that four bytes are there. */
export function int32At(bytes: Buffer, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  );
}
