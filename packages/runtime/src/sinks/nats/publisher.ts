import type { MsgHdrs, NatsConnection } from '@nats-io/transport-node';
import { runtimeError } from '../../errors/codes.ts';
import { type Deferred, deferred } from '../../internal/deferred.ts';

/** One message on its way to a stream. */
export interface Outgoing {
  readonly subject: string;
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>;
  readonly payload: Uint8Array;
}

/** What JetStream said of a message, or of an atomic batch. */
export type Ack =
  | { readonly type: 'stored'; readonly duplicate: boolean }
  /** `code`: JetStream's err_code; 503: nobody took it. */
  | { readonly type: 'refused'; readonly code: number; readonly description: string };

/** JetStream answers with these members; what it leaves out is undefined. */
interface PubAck {
  readonly error?: { readonly err_code?: number; readonly code?: number; readonly description?: string };
  readonly duplicate?: boolean;
}

interface Waiting extends Deferred<Ack> {
  readonly since: number;
}

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
  readonly #newHeaders: () => MsgHdrs;
  readonly #inbox: string;
  readonly #ackMs: number;
  /** By the end of the reply subject; the oldest first. */
  readonly #waiting = new Map<string, Waiting>();
  #sent = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    connection: NatsConnection,
    options: {
      /** Of the library, which is loaded on use. */
      readonly newHeaders: () => MsgHdrs;
      /** Milliseconds after which an answer that has not come is not waited for any more. */
      readonly ackMs: number;
    },
  ) {
    this.#connection = connection;
    this.#newHeaders = options.newHeaders;
    this.#ackMs = options.ackMs;
    this.#inbox = `_INBOX.${crypto.randomUUID().replaceAll('-', '')}.`;
    connection.subscribe(`${this.#inbox}*`, {
      callback: (error, message) => {
        if (error !== null) return;
        const id = message.subject.slice(this.#inbox.length);
        const waiting = this.#waiting.get(id);
        this.#waiting.delete(id);
        waiting?.resolve(readAck(message.data, message.headers));
      },
    });
  }

  /** @throws ER4016 no answer in time; what {@link fail} was given */
  publish(message: Outgoing): Promise<Ack> {
    return this.#send(message);
  }

  /**
   * Stores all of the messages, in order, or none of them. At most 1,000; the stream must allow it (server 2.12).
   *
   * @throws as {@link publish}: whether it is stored is then unknown
   */
  publishAtomically(messages: readonly Outgoing[]): Promise<Ack> {
    const batch = crypto.randomUUID();
    const numbered = messages.map((message, index) => ({
      ...message,
      headers: [
        ...message.headers,
        ['Nats-Batch-Id', batch] as const,
        ['Nats-Batch-Sequence', String(index + 1)] as const,
      ],
    }));
    const last = numbered.pop();
    if (last === undefined) throw new TypeError('an empty batch');
    for (const { subject, headers, payload } of numbered) {
      this.#connection.publish(subject, payload, { headers: this.#encode(headers) });
    }
    return this.#send({ ...last, headers: [...last.headers, ['Nats-Batch-Commit', '1']] });
  }

  /** Nothing more will come: what waits for an answer fails. */
  fail(error: unknown): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }

  #send({ subject, headers, payload }: Outgoing): Promise<Ack> {
    const id = (this.#sent += 1).toString(36);
    const waiting: Waiting = { ...deferred<Ack>(), since: performance.now() };
    this.#waiting.set(id, waiting);
    try {
      this.#connection.publish(subject, payload, {
        headers: this.#encode(headers),
        reply: this.#inbox + id,
      });
    } catch (error) {
      this.#waiting.delete(id);
      waiting.reject(error);
    }
    this.#timer ??= setInterval(() => this.#sweep(), this.#ackMs / 4).unref();
    return waiting.promise;
  }

  #encode(headers: Outgoing['headers']): MsgHdrs {
    const encoded = this.#newHeaders();
    for (const [name, value] of headers) encoded.set(name, value);
    return encoded;
  }

  #sweep(): void {
    const now = performance.now();
    for (const [id, waiting] of this.#waiting) {
      if (now - waiting.since < this.#ackMs) break;
      this.#waiting.delete(id);
      waiting.reject(runtimeError('ER4016', { detail: `No answer within ${this.#ackMs} ms.` }));
    }
    if (this.#waiting.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function readAck(data: Uint8Array, headers: MsgHdrs | undefined): Ack {
  if (data.length === 0) {
    return { type: 'refused', code: headers?.code ?? 0, description: 'no stream takes the subject' };
  }
  const { error, duplicate } = JSON.parse(Buffer.from(data).toString()) as PubAck;
  if (error === undefined) return { type: 'stored', duplicate: duplicate === true };
  return {
    type: 'refused',
    code: error.err_code ?? error.code ?? 0,
    description: error.description ?? 'no description',
  };
}
