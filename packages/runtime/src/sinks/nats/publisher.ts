import type { Msg, MsgHdrs, NatsConnection } from '@nats-io/transport-node';
import { runtimeError } from '../../errors/codes.ts';
import { type BatchKind, BatchWriter } from './batch-writer.ts';

/** One message on its way to a stream. */
export interface Outgoing {
  readonly subject: string;
  /** The whole block, its empty line included: see {@link HeaderWriter}. */
  readonly headers: Buffer;
  readonly payload: Uint8Array;
}

/** What JetStream said of a message, or of a batch. */
export type Ack =
  | { readonly type: 'stored'; readonly duplicate: boolean }
  /** `code`: JetStream's err_code; 503: nobody took it. */
  | { readonly type: 'refused'; readonly code: number; readonly description: string };

/** What became of what was published. */
export type Answer =
  | Ack
  /** It may be stored, or not: there was no answer in time, or the connection ended. */
  | { readonly type: 'unknown'; readonly error: Error };

/** Called once, as soon as it is known; also before the call that published it returns. */
export type OnAnswer = (answer: Answer) => void;

/** A batch that is being written. */
export interface OpenBatch {
  readonly add: (message: Outgoing) => void;
  /** Nothing is added any more. */
  readonly end: () => void;
}

interface Waiting {
  readonly onAnswer: OnAnswer;
  readonly since: number;
  /** The message, or those of a batch, which its answer counts. */
  readonly of: Outgoing | readonly Outgoing[];
  /** What the answer to a batch repeats; undefined: it is none. */
  readonly batch: { readonly kind: BatchKind; readonly id: string } | undefined;
}

const stored: Ack = { type: 'stored', duplicate: false };

/** By JetStream's err_code: there is no such stream, another one took it, it is sealed, it takes no atomic or fast batches. */
const changedCodes: ReadonlySet<number> = new Set([10_059, 10_060, 10_109, 10_174, 10_205]);
/** A fast batch that ended before its last message: JetStream has no code for it. */
const incompleteCode = 10_176;
/** The code of what nobody took, and of what may not be published. */
const [nobodyCode, deniedCode] = [503, 403];
/** The slowest link that is reckoned with. */
const slowestBytesPerSecond = 128 * 1024;

/**
 * Publishes into JetStream over one connection: as many messages at once as are given, each with an answer of its own.
 *
 * A publish with a reply subject below an inbox of ours, the answers matched by its end: the library's `js.publish`
 * makes a request with a timer of its own for each message, and retries it by itself, which would change the order.
 *
 * Source: NATS ADR-1 (JetStream JSON API), ADR-50 (batch publishing).
 */
export class Publisher {
  readonly #connection: NatsConnection;
  readonly #stream: string;
  /** How the server's answer to a stored message begins; its number follows, and `}`. */
  readonly #plain: Uint8Array;
  readonly #inbox: string;
  readonly #ackMs: number;
  /** By the end of the reply subject; the oldest first. */
  readonly #waiting = new Map<string, Waiting>();
  #sent = 0;
  #answeredAt = 0;
  #streamChanged = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    connection: NatsConnection,
    options: {
      /** Whose acknowledgements count. */
      readonly stream: string;
      /**
       * Milliseconds without any answer after which one that has not come is not waited for any more; for each
       * 128 KiB of the message a second more.
       */
      readonly ackMs: number;
    },
  ) {
    this.#connection = connection;
    this.#stream = options.stream;
    this.#plain = Buffer.from(`{"stream":${JSON.stringify(options.stream)},"seq":`);
    this.#ackMs = options.ackMs;
    this.#inbox = `_INBOX.${crypto.randomUUID().replaceAll('-', '')}.`;
    connection.subscribe(`${this.#inbox}>`, {
      callback: (error, message) => {
        if (error === null) this.#onAnswer(message);
      },
    });
  }

  /** Whether an answer said that the stream is not what it was, or is not there any more. */
  get streamChanged(): boolean {
    return this.#streamChanged;
  }

  /** A callback, and no promise: with a promise for each message more time goes to them than to all the rest. */
  publish(message: Outgoing, onAnswer: OnAnswer): void {
    const id = this.#wait({ onAnswer, since: performance.now(), of: message, batch: undefined });
    try {
      this.#write(message, this.#inbox + id);
    } catch (error) {
      this.#settle(id, unknown(error));
    }
  }

  /**
   * Stores the messages that are added in order, see {@link BatchKind}; the stream must allow it. Stored: all of them are.
   * Refused: of an atomic batch nothing is, of a fast one perhaps the first ones; none of the others will be.
   */
  beginBatch(kind: BatchKind, onAnswer: OnAnswer): OpenBatch {
    const of: Outgoing[] = [];
    const batch = { kind, id: crypto.randomUUID() };
    const id = this.#wait({ onAnswer, since: performance.now(), of, batch });
    const write = (message: Outgoing, reply: string | undefined): void => this.#write(message, reply);
    const writer = new BatchWriter({ ...batch, reply: this.#inbox + id, write });
    const attempt = (what: () => void): void => {
      try {
        if (this.#waiting.has(id)) what();
      } catch (error) {
        this.#settle(id, unknown(error));
      }
    };
    return {
      add: (message) => {
        of.push(message);
        attempt(() => writer.add(message));
      },
      end: () => attempt(() => writer.end()),
    };
  }

  /** The server said that nothing may be published there: it sends no answer to what was. */
  refuse(subject: string, description: string): void {
    for (const [id, waiting] of this.#waiting) {
      if (!messagesOf(waiting).some((message) => message.subject === subject)) continue;
      this.#settle(id, { type: 'refused', code: deniedCode, description });
    }
  }

  /** Nothing more will come: of what waits for an answer nothing will be known. */
  fail(error: unknown): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const id of [...this.#waiting.keys()]) this.#settle(id, unknown(error));
  }

  /** Whoever subscribes to the subject can answer too: what is no answer of our stream is waited on. */
  #onAnswer(answer: Msg): void {
    const [id = ''] = answer.subject.slice(this.#inbox.length).split('.', 1);
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    const { data } = answer;
    const { batch } = waiting;
    const ack =
      batch === undefined && isPlain(data, this.#plain)
        ? stored
        : readAck(data, { headers: answer.headers, stream: this.#stream, waiting });
    if (ack === undefined) return;
    this.#answeredAt = performance.now();
    if (ack.type === 'refused' && (ack.code === nobodyCode || changedCodes.has(ack.code))) {
      this.#streamChanged = true;
    }
    this.#settle(id, ack);
  }

  /** @returns the end of the reply subject */
  #wait(waiting: Waiting): string {
    const id = (this.#sent += 1).toString(36);
    this.#waiting.set(id, waiting);
    this.#timer ??= setInterval(() => this.#sweep(), this.#ackMs / 4).unref();
    return id;
  }

  #settle(id: string, answer: Answer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.onAnswer(answer);
  }

  #write({ subject, headers, payload }: Outgoing, reply: string | undefined): void {
    const encoded = new Encoded(headers) as unknown as MsgHdrs;
    this.#connection.publish(
      subject,
      payload,
      reply === undefined ? { headers: encoded } : { headers: encoded, reply },
    );
  }

  /** From the last answer on: behind a slow link, what was written at once arrives one after another. */
  #sweep(): void {
    const now = performance.now();
    for (const [id, waiting] of this.#waiting) {
      const { since } = waiting;
      const bytes = messagesOf(waiting).reduce(
        (sum, one) => sum + one.headers.length + one.payload.length,
        0,
      );
      const waitMs = this.#ackMs + (bytes / slowestBytesPerSecond) * 1_000;
      if (now - Math.max(since, this.#answeredAt) < waitMs) continue;
      const error = runtimeError('ER4016', { detail: `No answer within ${Math.round(waitMs)} ms.` });
      this.#settle(id, { type: 'unknown', error });
    }
    if (this.#waiting.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function messagesOf({ of }: Waiting): readonly Outgoing[] {
  return Array.isArray(of) ? (of as readonly Outgoing[]) : [of as Outgoing];
}

function unknown(error: unknown): Answer {
  return { type: 'unknown', error: error instanceof Error ? error : new Error(String(error)) };
}

/** The library asks the headers of a message for their bytes, and for nothing else. */
class Encoded {
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  encode(): Buffer {
    return this.#bytes;
  }
}

/** JetStream answers with these members; what it leaves out is undefined. */
interface PubAck {
  readonly error?: { readonly err_code?: number; readonly code?: number; readonly description?: string };
  readonly stream?: unknown;
  readonly seq?: unknown;
  readonly duplicate?: unknown;
  readonly batch?: unknown;
  readonly count?: unknown;
}

/** Whether it is the answer to a message that was not there before, as the server writes it: nearly each one is. */
function isPlain(data: Uint8Array, beginning: Uint8Array): boolean {
  const last = data.length - 1;
  let at = beginning.length;
  if (at >= last || data[last] !== 0x7d || data[at] === 0x30) return false;
  for (let index = 0; index < at; index += 1) if (data[index] !== beginning[index]) return false;
  for (; at < last; at += 1) {
    const digit = data[at] as number;
    if (digit < 0x30 || digit > 0x39) return false;
  }
  return true;
}

/** Undefined: it is none of the stream's. */
function readAck(
  data: Uint8Array,
  wanted: {
    readonly headers: MsgHdrs | undefined;
    readonly stream: string;
    readonly waiting: Waiting;
  },
): Ack | undefined {
  if (data.length === 0) {
    if (wanted.headers?.code !== nobodyCode) return undefined;
    return { type: 'refused', code: nobodyCode, description: 'no stream takes the subject' };
  }
  const answer = parseAnswer(data);
  if (answer === undefined) return undefined;
  const { error, stream, seq, duplicate, batch, count } = answer;
  if (typeof error === 'object' && error !== null) {
    const code = error.err_code ?? error.code ?? 0;
    return { type: 'refused', code, description: error.description ?? 'no description' };
  }
  const { batch: asked } = wanted.waiting;
  // Of a fast batch of which nothing is new it is 0.
  const least = asked?.kind === 'fast' ? 0 : 1;
  if (stream !== wanted.stream || typeof seq !== 'number' || seq < least) return undefined;
  if (asked === undefined) return { type: 'stored', duplicate: duplicate === true };
  if (batch !== asked.id) return undefined;
  if (seq === 0) {
    // What is known in a cluster may have been proposed, and not stored. Message by message the server says which.
    const description = 'all of the batch is known, and may not be stored yet';
    return { type: 'refused', code: incompleteCode, description };
  }
  const { length } = messagesOf(wanted.waiting);
  if (count === length) return stored;
  if (asked.kind === 'atomic') return undefined;
  const description = `the batch ended after ${String(count)} of its ${length} messages`;
  return { type: 'refused', code: incompleteCode, description };
}

function parseAnswer(data: Uint8Array): PubAck | undefined {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(data).toString());
    return typeof parsed === 'object' && parsed !== null ? parsed : undefined;
  } catch {
    return undefined;
  }
}
