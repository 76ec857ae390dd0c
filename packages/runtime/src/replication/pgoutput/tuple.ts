import { runtimeError } from '../../errors/codes.ts';
import { type ByteReader, int32At } from './reader.ts';

/** Column kinds as they stand on the wire (TupleData in "Logical Replication Message Formats"). */
const nullKind = 0x6e; // n
const unchangedKind = 0x75; // u
const textKind = 0x74; // t
const binaryKind = 0x62; // b

/**
 * The columns of one row version, read on demand: a row of the outbox has many columns, and making a
 * string or a Buffer of each takes longer than all the rest of decoding.
 *
 * Memory: a tuple refers to the chunk that came from the socket, and so does what {@link bytes} returns.
 * Nobody writes to that chunk again, so both stay right for as long as they are kept; but they keep the
 * whole chunk alive (64 kB, or the message if that is larger). Copy what is kept for long.
 */
export class Tuple {
  readonly #bytes: Buffer;
  /** Where each column's kind byte stands in #bytes. */
  readonly #columns: readonly number[];

  private constructor(bytes: Buffer, columns: readonly number[]) {
    this.#bytes = bytes;
    this.#columns = columns;
  }

  /** Checks the layout of a TupleData and leaves the reader behind it. @throws ER3001 */
  static read(reader: ByteReader): Tuple {
    const count = reader.uint16();
    const { bytes, end } = reader;
    const columns: number[] = [];
    let at = reader.position;
    for (let column = 0; column < count; column += 1) {
      if (at >= end) throw cutShort(column, count);
      columns.push(at);
      const kind = bytes[at];
      at += 1;
      if (kind === textKind || kind === binaryKind) {
        if (end - at < 4) throw cutShort(column, count);
        const length = int32At(bytes, at);
        at += 4;
        if (length < 0 || length > end - at) throw cutShort(column, count);
        at += length;
      } else if (kind !== nullKind && kind !== unchangedKind) {
        throw runtimeError('ER3001', { detail: `Column ${column} of ${count} is of the kind ${kind}.` });
      }
    }
    reader.position = at;
    return new Tuple(bytes, columns);
  }

  /** How many columns there are. */
  get length(): number {
    return this.#columns.length;
  }

  /**
   * The value's text. `null`: SQL null. `undefined`: a TOASTed value that the UPDATE left as it was and
   * that is therefore not in the stream.
   * @throws RangeError no such column
   */
  text(column: number): string | null | undefined {
    const at = this.#at(column);
    const kind = this.#bytes[at];
    if (kind === nullKind) return null;
    if (kind === unchangedKind) return undefined;
    const from = at + 5;
    return this.#bytes.toString('utf8', from, from + int32At(this.#bytes, at + 1));
  }

  /** The value's bytes as they came, not copied. Null and undefined as for {@link text}. @throws RangeError */
  bytes(column: number): Buffer | null | undefined {
    const at = this.#at(column);
    const kind = this.#bytes[at];
    if (kind === nullKind) return null;
    if (kind === unchangedKind) return undefined;
    const from = at + 5;
    return this.#bytes.subarray(from, from + int32At(this.#bytes, at + 1));
  }

  #at(column: number): number {
    const at = this.#columns[column];
    if (at === undefined) throw new RangeError(`no column ${column}: the row has ${this.#columns.length}`);
    return at;
  }
}

function cutShort(column: number, count: number): Error {
  return runtimeError('ER3001', { detail: `Column ${column} of ${count} goes beyond the message.` });
}
