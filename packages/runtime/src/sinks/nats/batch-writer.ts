import type { Outgoing } from './publisher.ts';

/**
 * How many messages are published as one, which is stored in order. `atomic`: all of them or none (server 2.12). `fast`:
 * each as it comes, until one is missing, and then none that comes behind; those that were there before are passed over
 * (server 2.14).
 *
 * Source: NATS ADR-50 (atomic batched publishes, fast-ingest batch publishing).
 */
export type BatchKind = 'atomic' | 'fast';

interface BatchWriterOptions {
  readonly kind: BatchKind;
  readonly id: string;
  /** Where the answer is to come. */
  readonly reply: string;
  /** Writes a message. @param reply undefined: no answer is asked for */
  readonly write: (message: Outgoing, reply: string | undefined) => void;
}

/** Messages between two acknowledgements of a fast batch that are of no use to us: as few as the server is ready to send. */
const flow = 1_000;

/** Writes the messages of one batch: each as soon as the next is there, for the last one ends it. */
export class BatchWriter {
  readonly #options: BatchWriterOptions;
  #held: Outgoing | undefined;
  #count = 0;

  constructor(options: BatchWriterOptions) {
    this.#options = options;
  }

  /** At most 1,000 in a batch. */
  add(message: Outgoing): void {
    const held = this.#held;
    this.#held = message;
    if (held !== undefined) this.#write(held, false);
  }

  /** @throws TypeError nothing was added */
  end(): void {
    if (this.#held === undefined) throw new TypeError('an empty batch');
    this.#write(this.#held, true);
  }

  #write(message: Outgoing, last: boolean): void {
    this.#count += 1;
    const { kind, id, reply, write } = this.#options;
    if (kind === 'fast') {
      // Begins it, goes on, ends it. All that makes it a batch is in the reply subject; no gap is let through.
      const operation = last ? 2 : Math.min(1, this.#count - 1);
      write(message, `${reply}.${id}.${flow}.fail.${this.#count}.${operation}.$FI`);
      return;
    }
    const lines = `Nats-Batch-Id: ${id}\r\nNats-Batch-Sequence: ${this.#count}\r\n`;
    const headers = withLines(message.headers, last ? `${lines}Nats-Batch-Commit: 1\r\n` : lines);
    write({ ...message, headers }, last ? reply : undefined);
  }
}

/** The block with more lines before its empty line. */
function withLines(headers: Buffer, lines: string): Buffer {
  const end = headers.length - 2;
  const more = Buffer.allocUnsafe(headers.length + lines.length);
  headers.copy(more, 0, 0, end);
  more.write(`${lines}\r\n`, end, 'latin1');
  return more;
}
