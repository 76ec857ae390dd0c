import { runtimeError } from '../errors/codes.ts';
import { ByteReader, int32At } from './pgoutput/reader.ts';

/** PostgreSQL's own limit for one message (`PQ_LARGE_MESSAGE_LIMIT`), and a little more. */
const largestMessage = 0x4000_0000;
const headerBytes = 5;

/** Called per message; the reader stands at the payload's first byte and is moved on afterwards. */
export type VisitMessage = (kind: number, payload: ByteReader) => void;

/**
 * Cuts what a socket yields into the backend's messages: kind (1 byte), length (4, itself included),
 * payload. Source: PostgreSQL manual, "Message Formats".
 *
 * Why not the parser inside `pg`: it makes an object and an event per message, and moves bytes about in a
 * buffer that earlier messages still refer to. Here a payload is read where it lies in the socket's chunk;
 * only a message that crosses chunks is copied, once, into memory of its own. Nothing is written twice,
 * so slices stay valid. Memory held back: at most the bytes received of one unfinished message.
 */
export class BackendFramer {
  readonly #payload = new ByteReader();
  /** Pieces of a message that has begun and not ended. */
  #pieces: Buffer[] = [];
  #held = 0;
  /** Of the unfinished message: its whole length once the header is there, else the header's length. */
  #wanted = headerBytes;

  /** @throws ER3001 for a length that no message can have; and whatever `visit` throws */
  push(chunk: Buffer, visit: VisitMessage): void {
    let at = this.#held === 0 ? 0 : this.#complete(chunk, visit);
    const end = chunk.length;
    const payload = this.#payload;
    while (end - at >= headerBytes) {
      const next = at + messageBytes(chunk, at);
      if (next > end) break;
      payload.bytes = chunk;
      payload.position = at + headerBytes;
      payload.end = next;
      visit(chunk[at] as number, payload);
      at = next;
    }
    if (at < end) {
      this.#pieces.push(chunk.subarray(at));
      this.#held = end - at;
      this.#wanted = this.#held >= headerBytes ? messageBytes(chunk, at) : headerBytes;
    }
  }

  /** Adds to the unfinished message. @returns how much of the chunk it took */
  #complete(chunk: Buffer, visit: VisitMessage): number {
    let at = 0;
    while (at < chunk.length) {
      const piece = chunk.subarray(at, at + this.#wanted - this.#held);
      this.#pieces.push(piece);
      this.#held += piece.length;
      at += piece.length;
      if (this.#held < this.#wanted) break;
      const whole = Buffer.concat(this.#pieces, this.#held);
      this.#pieces = [whole];
      this.#wanted = messageBytes(whole, 0);
      if (this.#wanted > this.#held) continue;
      this.#pieces = [];
      this.#held = 0;
      this.#wanted = headerBytes;
      const payload = this.#payload;
      payload.bytes = whole;
      payload.position = headerBytes;
      payload.end = whole.length;
      visit(whole[0] as number, payload);
      break;
    }
    return at;
  }
}

/** The message's length with its kind byte. */
function messageBytes(bytes: Buffer, at: number): number {
  const length = int32At(bytes, at + 1);
  if (length < 4 || length > largestMessage) {
    throw runtimeError('ER3001', { detail: `A message has the length ${length}.` });
  }
  return length + 1;
}
