import { percentEncode } from '../envelope.ts';

/** Bytes that are taken from the system at a time: the headers of some hundred messages. */
const pieceBytes = 64 * 1024;
/** What one character of a text may become: three bytes, each percent-encoded. */
const mostPerCharacter = 9;

/**
 * Writes headers as they are sent, a line at a time, without a text or an object for each: the library's own take longer
 * than all else that is done for a message.
 *
 * Source: NATS ADR-4 (headers).
 */
export class HeaderWriter {
  #bytes: Buffer = Buffer.allocUnsafeSlow(pieceBytes);
  #from = 0;
  #at = 0;

  /** The next block. What was written before stays as it is. */
  begin(): void {
    this.#from = this.#at;
    this.#write('NATS/1.0\r\n');
  }

  /** @param value is percent-encoded where it is not printable ASCII, and at spaces, double quotes and percent signs */
  line(name: string, value: string): void {
    this.#write(name);
    this.#value(value);
  }

  /** An attribute of the envelope, see {@link line}. */
  readonly attribute = (name: string, value: string): void => {
    this.#write('ce-');
    this.#write(name);
    this.#value(value);
  };

  /** The block, ended by its empty line. */
  end(): Buffer {
    this.#write('\r\n');
    return this.#bytes.subarray(this.#from, this.#at);
  }

  #value(value: string): void {
    this.#write(': ');
    this.#reserve(value.length * mostPerCharacter + 2);
    const bytes = this.#bytes;
    let at = this.#at;
    for (let index = 0; index < value.length; index += 1) {
      const code = value.charCodeAt(index);
      if (code <= 0x20 || code >= 0x7f || code === 0x22 || code === 0x25) {
        this.#write(`${percentEncode(value)}\r\n`);
        return;
      }
      bytes[at++] = code;
    }
    this.#at = at;
    this.#write('\r\n');
  }

  /** Of ASCII. */
  #write(text: string): void {
    this.#reserve(text.length);
    const bytes = this.#bytes;
    let at = this.#at;
    for (let index = 0; index < text.length; index += 1) bytes[at++] = text.charCodeAt(index);
    this.#at = at;
  }

  /** Room for so many more bytes; the block that is being written goes along. */
  #reserve(length: number): void {
    if (this.#at + length <= this.#bytes.length) return;
    const begun = this.#bytes.subarray(this.#from, this.#at);
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(pieceBytes, 2 * (begun.length + length)));
    begun.copy(this.#bytes);
    this.#from = 0;
    this.#at = begun.length;
  }
}
