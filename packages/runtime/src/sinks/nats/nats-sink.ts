import type { NatsConnection } from '@nats-io/transport-node';
import { runtimeError } from '../../errors/codes.ts';
import { orAborted } from '../../internal/or-aborted.ts';
import { entityOf } from '../../log/outbox-event.ts';
import type { DeliverOptions, DeliveryResult, Sink, SinkBatch, SinkFeatures } from '../sink.ts';
import { connectNats, type NatsConnectionOptions, withoutSecrets } from './nats-connection.ts';
import { natsHeaders } from './nats-envelope.ts';
import { loadNatsLibrary } from './nats-library.ts';
import { type Ordered, type Outcome, publishInOrder } from './publish-in-order.ts';
import { type Ack, Publisher } from './publisher.ts';
import { openStream, type StreamConcern, type StreamFacts, type StreamOptions } from './stream.ts';
import { covers, defaultSubject, SubjectTemplate } from './subject-template.ts';

export interface NatsSinkOptions extends Omit<NatsConnectionOptions, 'name'> {
  /** The sink's name: the key of its checkpoint. */
  readonly name: string;
  readonly stream: StreamOptions;
  /** Of each event, see {@link SubjectTemplate}. Default `events.<tenant>.<type>`. */
  readonly subject?: string;
  /** Templates that routes give in its place: the stream must take these too. */
  readonly routedSubjects?: readonly string[];
  /** Milliseconds after which an acknowledgement that has not come is not waited for. Default 5,000. */
  readonly ackMs?: number;
  /** Milliseconds before what was not acknowledged is handed over again. Default 1,000. */
  readonly retryAfterMs?: number;
  /** Told, once for each connection, by which properties of the stream events may be lost. */
  readonly onConcern?: (concern: StreamConcern) => void;
}

/** A connection and what was found at its other end. */
interface Session {
  readonly connection: NatsConnection;
  readonly publisher: Publisher;
  readonly stream: StreamFacts;
}

/** JetStream's err_code for a message above `max_msg_size`. */
const tooLarge = 10_054;
/** What a PUB line may take beside its subject: the reply, two lengths. The server's limit is 4,096 bytes. */
const maxSubjectBytes = 3_900;

/**
 * Events into a JetStream stream: one message each, the envelope in its headers, delivered when the stream has
 * acknowledged it. An event that is handed over again within the stream's duplicate window is there once.
 *
 * A connection is made with the first batch, and again with the next one after it was lost; with it all that was
 * under way is handed over again.
 */
export class NatsSink implements Sink {
  readonly name: string;
  static readonly features: SinkFeatures = { order: true, dedupe: true, ownCheckpoint: false };
  readonly features: SinkFeatures = NatsSink.features;
  readonly #options: NatsSinkOptions;
  readonly #subject: SubjectTemplate;
  /** By their text; those that routes name, and any other that an event brings. */
  readonly #templates = new Map<string, SubjectTemplate>();
  #session: Promise<Session> | undefined;
  #disposed = false;

  /** @throws RangeError for a subject that is no template */
  constructor(options: NatsSinkOptions) {
    this.name = options.name;
    this.#options = options;
    this.#subject = this.#template(options.subject ?? defaultSubject);
    for (const text of options.routedSubjects ?? []) this.#template(text);
  }

  /** @throws ER4014, ER4015, ER5002: nothing was sent; ER1207; the signal's reason */
  async deliver(batch: SinkBatch, options: DeliverOptions): Promise<readonly DeliveryResult[]> {
    const { signal, valid = () => true } = options;
    signal.throwIfAborted();
    if (batch.events.length === 0) return [];
    const opening = this.#open();
    await orAborted(opening, signal);
    signal.throwIfAborted();
    const session = await opening;
    if (!valid()) throw runtimeError('ER1207', { detail: `Sink ${this.name}.` });
    const results: Array<DeliveryResult | undefined> = [];
    const messages: Ordered[] = [];
    for (const { event, subject } of batch.events) {
      const template = subject === undefined ? this.#subject : this.#template(subject);
      const message: Ordered = {
        subject: template.of(event),
        headers: natsHeaders(event, this.#options.stream.name),
        payload: event.payload,
        entity: entityOf(event),
      };
      const poison = this.#poison(message, session);
      results.push(poison === undefined ? undefined : { type: 'rejected', reason: poison });
      if (poison === undefined) messages.push(message);
    }
    const outcomes = await publishInOrder(messages, {
      publisher: session.publisher,
      atomicLimit: session.stream.atomicLimit,
      signal,
      valid,
      isPoison,
    });
    // The server may be gone without a word, and another of its cluster may be there.
    if (outcomes.some(({ type }) => type === 'unknown')) this.#leave(session);
    let next = 0;
    return results.map((result) => result ?? this.#resultOf(outcomes[next++] as Outcome));
  }

  /** What waits for an acknowledgement is given up. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    const session = await this.#session?.catch(() => undefined);
    this.#session = undefined;
    await session?.connection.close();
  }

  #template(text: string): SubjectTemplate {
    const known = this.#templates.get(text) ?? new SubjectTemplate(text);
    this.#templates.set(text, known);
    return known;
  }

  /** What the stream must take: each once, and none that another takes in. */
  get #wildcards(): readonly string[] {
    const all = [...new Set([...this.#templates.values()].map(({ wildcard }) => wildcard))];
    return all.filter((one) => !all.some((other) => other !== one && covers(other, one)));
  }

  #open(): Promise<Session> {
    if (this.#disposed) return Promise.reject(new Error(`sink ${this.name} is disposed`));
    if (this.#session !== undefined) return this.#session;
    const opening = this.#connect();
    this.#session = opening;
    const forget = (): void => {
      if (this.#session === opening) this.#session = undefined;
    };
    opening.then(({ connection }) => connection.closed()).then(forget, forget);
    return opening;
  }

  #leave({ connection }: Session): void {
    this.#session = undefined;
    connection.close().catch(() => undefined);
  }

  async #connect(): Promise<Session> {
    const { name, stream, ackMs = 5_000, servers } = this.#options;
    const library = await loadNatsLibrary();
    const connection = await connectNats(library, { ...this.#options, name: `event-runtime ${name}` });
    try {
      const publisher = new Publisher(connection, {
        newHeaders: library.headers,
        stream: stream.name,
        ackMs,
      });
      const lost = `${servers.map(withoutSecrets).join(', ')}: the connection was lost.`;
      const end = (error?: unknown): void =>
        publisher.fail(runtimeError('ER4014', { detail: lost, cause: error }));
      connection.closed().then((error) => end(error ?? undefined), end);
      const jsm = await library.jetstreamManager(connection);
      const facts = await openStream(jsm, { ...stream, connection, wildcards: this.#wildcards });
      for (const concern of facts.concerns) this.#options.onConcern?.(concern);
      return { connection, publisher, stream: facts };
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /** Why a message can never be stored; asked before it is sent, for a server ends the connection over it. */
  #poison({ subject, headers, payload }: Ordered, { connection, stream }: Session): string | undefined {
    const subjectBytes = Buffer.byteLength(subject);
    if (subjectBytes > maxSubjectBytes) {
      return `its subject has ${subjectBytes} bytes, a server takes at most ${maxSubjectBytes}`;
    }
    // `NATS/1.0`, a line for each header, an empty line; and room for the headers of an atomic batch.
    let bytes = payload.length + 12 + 120;
    for (const [name, value] of headers) bytes += name.length + Buffer.byteLength(value) + 4;
    const limit = Math.min(
      connection.info?.max_payload ?? Number.POSITIVE_INFINITY,
      stream.maxMessageBytes ?? Number.POSITIVE_INFINITY,
    );
    if (bytes <= limit) return undefined;
    return `with its headers it has ${bytes} bytes, the ${limit === stream.maxMessageBytes ? 'stream' : 'server'} takes at most ${limit}`;
  }

  #resultOf(outcome: Outcome): DeliveryResult {
    if (outcome.type === 'stored') return { type: 'delivered' };
    if (outcome.type === 'refused' && isPoison(outcome)) {
      return { type: 'rejected', reason: `${outcome.description} (${outcome.code})` };
    }
    const afterMs = this.#options.retryAfterMs ?? 1_000;
    return { type: 'retry', afterMs, error: this.#errorOf(outcome) };
  }

  #errorOf(outcome: Exclude<Outcome, { type: 'stored' }>): Error {
    switch (outcome.type) {
      case 'unknown':
        return outcome.error;
      case 'refused':
        return runtimeError('ER4016', {
          detail: `JetStream says: ${outcome.description} (${outcome.code}).`,
        });
      case 'unsent':
        return runtimeError('ER4016', { detail: 'An earlier event of its entity waits.' });
      default:
        outcome satisfies never;
        throw new TypeError('an unknown outcome');
    }
  }
}

function isPoison(ack: Ack): boolean {
  return ack.type === 'refused' && ack.code === tooLarge;
}
