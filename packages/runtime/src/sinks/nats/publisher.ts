import type { Msg, MsgHdrs, NatsConnection } from '@nats-io/transport-node';
import { runtimeError } from '../../errors/codes.ts';
import { type Deferred, deferred } from '../../internal/deferred.ts';

/** One message on its way to a stream. */
export interface Outgoing {
  readonly subject: string;
  /** The whole block, its empty line included: see {@link HeaderWriter}. */
  readonly headers: Buffer;
  readonly payload: Uint8Array;
}

/** What JetStream said of a message, or of an atomic batch. */
export type Ack =
  | { readonly type: 'stored'; readonly duplicate: boolean }
  /** `code`: JetStream's err_code; 503: nobody took it. */
  | { readonly type: 'refused'; readonly code: number; readonly description: string };

interface Waiting extends Deferred<Ack> {
  readonly since: number;
  /** Of the message, or of each one in the atomic batch. */
  readonly subjects: readonly string[];
  readonly bytes: number;
  /** What the answer to an atomic batch repeats. */
  readonly batch: { readonly id: string; readonly count: number } | undefined;
}

/** By JetStream's err_code: there is no such stream, another one took it, it is sealed, it takes no atomic batches. */
const changedCodes: ReadonlySet<number> = new Set([10_059, 10_060, 10_109, 10_174]);
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
 * Source: NATS ADR-1 (JetStream JSON API), ADR-50 (atomic batch publish).
 */
export class Publisher {
  readonly #connection: NatsConnection;
  readonly #stream: string;
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
    this.#ackMs = options.ackMs;
    this.#inbox = `_INBOX.${crypto.randomUUID().replaceAll('-', '')}.`;
    connection.subscribe(`${this.#inbox}*`, {
      callback: (error, message) => {
        if (error === null) this.#onAnswer(message);
      },
    });
  }

  /** Whether an answer said that the stream is not what it was, or is not there any more. */
  get streamChanged(): boolean {
    return this.#streamChanged;
  }

  /** @throws ER4016 no answer in time; what {@link fail} was given */
  publish(message: Outgoing): Promise<Ack> {
    return this.#send([message], {
      subjects: [message.subject],
      bytes: message.payload.length,
      batch: undefined,
    });
  }

  /**
   * Stores all of the messages, in order, or none of them. At most 1,000; the stream must allow it (server 2.12).
   *
   * @throws as {@link publish}: whether it is stored is then unknown
   */
  publishAtomically(messages: readonly Outgoing[]): Promise<Ack> {
    const id = crypto.randomUUID();
    const numbered = messages.map((message, index) => {
      const lines = `Nats-Batch-Id: ${id}\r\nNats-Batch-Sequence: ${index + 1}\r\n`;
      const commit = index === messages.length - 1 ? 'Nats-Batch-Commit: 1\r\n' : '';
      return { ...message, headers: withLines(message.headers, lines + commit) };
    });
    if (numbered.length === 0) throw new TypeError('an empty batch');
    return this.#send(numbered, {
      subjects: messages.map(({ subject }) => subject),
      bytes: messages.reduce((bytes, { payload }) => bytes + payload.length, 0),
      batch: { id, count: messages.length },
    });
  }

  /** The server said that nothing may be published there: it sends no answer to what was. */
  refuse(subject: string, description: string): void {
    for (const [id, waiting] of this.#waiting) {
      if (!waiting.subjects.includes(subject)) continue;
      this.#waiting.delete(id);
      waiting.resolve({ type: 'refused', code: deniedCode, description });
    }
  }

  /** Nothing more will come: what waits for an answer fails. */
  fail(error: unknown): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }

  /** Whoever subscribes to the subject can answer too: what is no answer of our stream is waited on. */
  #onAnswer({ subject, data, headers }: Msg): void {
    const id = subject.slice(this.#inbox.length);
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    const ack = readAck(data, { headers, stream: this.#stream, batch: waiting.batch });
    if (ack === undefined) return;
    this.#answeredAt = performance.now();
    this.#waiting.delete(id);
    if (ack.type === 'refused' && (ack.code === nobodyCode || changedCodes.has(ack.code))) {
      this.#streamChanged = true;
    }
    waiting.resolve(ack);
  }

  /** The answer is the one to the last of them. */
  #send(messages: readonly Outgoing[], about: Pick<Waiting, 'subjects' | 'bytes' | 'batch'>): Promise<Ack> {
    const id = (this.#sent += 1).toString(36);
    const waiting: Waiting = { ...deferred<Ack>(), ...about, since: performance.now() };
    this.#waiting.set(id, waiting);
    try {
      for (const [index, { subject, headers, payload }] of messages.entries()) {
        this.#connection.publish(subject, payload, {
          headers: new Encoded(headers) as unknown as MsgHdrs,
          ...(index === messages.length - 1 ? { reply: this.#inbox + id } : {}),
        });
      }
    } catch (error) {
      this.#waiting.delete(id);
      waiting.reject(error);
    }
    this.#timer ??= setInterval(() => this.#sweep(), this.#ackMs / 4).unref();
    return waiting.promise;
  }

  /** From the last answer on: behind a slow link, what was written at once arrives one after another. */
  #sweep(): void {
    const now = performance.now();
    for (const [id, waiting] of this.#waiting) {
      const { since, bytes } = waiting;
      const waitMs = this.#ackMs + (bytes / slowestBytesPerSecond) * 1_000;
      if (now - Math.max(since, this.#answeredAt) < waitMs) continue;
      this.#waiting.delete(id);
      waiting.reject(runtimeError('ER4016', { detail: `No answer within ${Math.round(waitMs)} ms.` }));
    }
    if (this.#waiting.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
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

/** The block with more lines before its empty line. */
function withLines(headers: Buffer, lines: string): Buffer {
  const end = headers.length - 2;
  const more = Buffer.allocUnsafe(headers.length + lines.length);
  headers.copy(more, 0, 0, end);
  more.write(`${lines}\r\n`, end, 'latin1');
  return more;
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

/** Undefined: it is none of the stream's. */
function readAck(
  data: Uint8Array,
  wanted: {
    readonly headers: MsgHdrs | undefined;
    readonly stream: string;
    readonly batch: Waiting['batch'];
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
  if (stream !== wanted.stream || typeof seq !== 'number' || seq <= 0) return undefined;
  if (wanted.batch !== undefined && (batch !== wanted.batch.id || count !== wanted.batch.count)) {
    return undefined;
  }
  return { type: 'stored', duplicate: duplicate === true };
}

function parseAnswer(data: Uint8Array): PubAck | undefined {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(data).toString());
    return typeof parsed === 'object' && parsed !== null ? parsed : undefined;
  } catch {
    return undefined;
  }
}
