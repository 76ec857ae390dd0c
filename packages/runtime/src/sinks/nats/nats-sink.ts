import { runtimeError } from '../../errors/codes.ts';
import { aborted, orAborted } from '../../internal/or-aborted.ts';
import { entityOf } from '../../log/outbox-event.ts';
import type { DeliverOptions, DeliveryResult, HandedEvent, Sink, SinkBatch, SinkFeatures } from '../sink.ts';
import { type Care, Doubts } from './doubts.ts';
import { HeaderWriter } from './header-writer.ts';
import { inAtomicBatch, type Limits, type Size, sizeOf, tooLarge } from './message-size.ts';
import type { NatsConnectionOptions } from './nats-connection.ts';
import { messageId, natsHeaders } from './nats-envelope.ts';
import { inspectStream, openSession, type Session, type SessionOptions } from './nats-session.ts';
import { type Ordered, type Outcome, publishInOrder } from './publish-in-order.ts';
import type { Ack } from './publisher.ts';
import type { StreamConcern, StreamOptions } from './stream.ts';
import { covers, defaultSubject, SubjectTemplate } from './subject-template.ts';

export interface NatsSinkOptions extends Omit<NatsConnectionOptions, 'name'> {
  /** The sink's name: the key of its checkpoint. */
  readonly name: string;
  readonly stream: StreamOptions;
  /**
   * Of each event whose route names none, see {@link SubjectTemplate}. Default `events.<tenant>.<type>`; where
   * `routedSubjects` are given, a stream that is there need not take the default.
   */
  readonly subject?: string;
  /** Templates that routes give in its place: the stream must take these. */
  readonly routedSubjects?: readonly string[];
  /** Milliseconds after which an acknowledgement that has not come is not waited for. Default 5,000. */
  readonly ackMs?: number;
  /** Milliseconds before what was not acknowledged is handed over again. Default 1,000. */
  readonly retryAfterMs?: number;
  /** Told, once for each connection, by which properties of the stream events may be lost. */
  readonly onConcern?: (concern: StreamConcern) => void;
}

/** JetStream's err_codes for a message above `max_msg_size`, and for headers above 64 KiB. */
const poisonCodes: ReadonlySet<number> = new Set([10_054, 10_097]);
/** For how long the limits of a server and its stream hold: then they are asked for before a message is rejected. */
const limitsHoldMs = 1_000;

const delivered: DeliveryResult = { type: 'delivered' };

/** A batch, made ready for a session. */
interface Prepared {
  /** In the batch's places; undefined: it is sent. */
  readonly results: ReadonlyArray<DeliveryResult | undefined>;
  readonly messages: readonly Ordered[];
  readonly ids: readonly string[];
  readonly tooLarge: boolean;
}

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
  readonly #doubts = new Doubts();
  readonly #writer = new HeaderWriter();
  readonly #disposal = new AbortController();
  #session: Promise<Session> | undefined;

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
    let session = await this.#opened(signal);
    let prepared = this.#prepare(batch, session);
    if (prepared.tooLarge && performance.now() - session.openedAt > limitsHoldMs) {
      // The server keeps to the limits that it had when a connection began.
      this.#leave(session);
      session = await this.#opened(signal);
      prepared = this.#prepare(batch, session);
    }
    if (!valid()) throw runtimeError('ER1207', { detail: `Sink ${this.name}.` });
    const { messages, ids, results } = prepared;
    const { publisher, stream } = session;
    const { atomicLimit } = stream;
    const outcomes = await publishInOrder(messages, { publisher, atomicLimit, signal, valid, isPoison });
    const ending = session.ending();
    outcomes.forEach((outcome, at) => this.#doubts.note(ids[at] as string, outcome, ending));
    // The server may be gone without a word, and another of its cluster may be there.
    const left = outcomes.some(({ type }) => type === 'unknown') || publisher.streamChanged;
    if (left) this.#leave(session);
    let next = 0;
    return results.map((known, at) => {
      const result = known ?? this.#resultOf(outcomes[next] as Outcome, messages[next] as Ordered);
      if (known === undefined) next += 1;
      if (result.type === 'rejected') this.#doubts.forget(messageId((batch.events[at] as HandedEvent).event));
      return result;
    });
  }

  /**
   * Connects and looks at the stream; makes and sends nothing.
   *
   * @returns what makes the stream less safe than it could be; undefined: there is no such stream yet
   * @throws ER4014, ER4015, ER5002
   */
  async inspect(): Promise<readonly StreamConcern[] | undefined> {
    return (await inspectStream(this.#sessionOptions()))?.concerns;
  }

  /** What waits for an acknowledgement, and a connection that is being made, is given up. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposal.abort();
    const session = await this.#session?.catch(() => undefined);
    this.#session = undefined;
    await session?.connection.close();
  }

  #template(text: string): SubjectTemplate {
    const known = this.#templates.get(text) ?? new SubjectTemplate(text);
    this.#templates.set(text, known);
    return known;
  }

  async #opened(signal: AbortSignal): Promise<Session> {
    const opening = this.#open();
    await orAborted(opening, signal);
    signal.throwIfAborted();
    return await opening;
  }

  #open(): Promise<Session> {
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
    const { signal } = this.#disposal;
    const { name } = this.#options;
    const opening = signal.aborted ? aborted : openSession(this.#sessionOptions());
    const session = opening === aborted ? aborted : await orAborted(opening, signal);
    if (session === aborted) throw new Error(`sink ${name} is disposed`);
    for (const concern of session.stream.concerns) this.#options.onConcern?.(concern);
    return session;
  }

  #sessionOptions(): SessionOptions {
    const { name, ackMs = 5_000, subject, routedSubjects = [] } = this.#options;
    const templates = [...routedSubjects];
    if (subject !== undefined || templates.length === 0) templates.push(this.#subject.text);
    const { signal } = this.#disposal;
    const required = this.#wildcards(templates);
    return { ...this.#options, name: `event-runtime ${name}`, ackMs, signal, required };
  }

  /** Each once, and none that another takes in. */
  #wildcards(templates: readonly string[]): readonly string[] {
    const all = [...new Set(templates.map((text) => this.#template(text).wildcard))];
    return all.filter((one) => !all.some((other) => other !== one && covers(other, one)));
  }

  #prepare({ events }: SinkBatch, session: Session): Prepared {
    const results: Array<DeliveryResult | undefined> = [];
    const messages: Ordered[] = [];
    const ids: string[] = [];
    let large = false;
    const limits = limitsOf(session);
    const to = { stream: this.#options.stream.name, writer: this.#writer };
    for (const { event, subject } of events) {
      const template = subject === undefined ? this.#subject : this.#template(subject);
      const message = {
        subject: template.of(event),
        headers: natsHeaders(event, to),
        payload: event.payload,
      };
      const size = sizeOf(message);
      const excess = tooLarge(size, limits);
      const id = messageId(event);
      const reason = excess ?? this.#doubts.poisonOf(id);
      large ||= excess !== undefined;
      results.push(reason === undefined ? undefined : { type: 'rejected', reason });
      if (reason !== undefined) continue;
      ids.push(id);
      messages.push({
        ...message,
        entity: entityOf(event),
        care: this.#careOf(id, { size, limits }),
        endings: this.#doubts.endingsOf(id),
      });
    }
    return { results, messages, ids, tooLarge: large };
  }

  #careOf(id: string, { size, limits }: { readonly size: Size; readonly limits: Limits }): Care {
    const care = this.#doubts.careOf(id);
    if (care !== 'free') return care;
    return tooLarge(inAtomicBatch(size), limits) === undefined ? 'free' : 'one by one';
  }

  #resultOf(outcome: Outcome, message: Ordered): DeliveryResult {
    if (outcome.type === 'stored') return delivered;
    if (outcome.type === 'refused' && isPoison(outcome)) {
      return { type: 'rejected', reason: `${outcome.description} (${outcome.code})` };
    }
    const afterMs = this.#options.retryAfterMs ?? 1_000;
    return { type: 'retry', afterMs, error: this.#errorOf(outcome, message) };
  }

  #errorOf(outcome: Exclude<Outcome, { type: 'stored' }>, { subject }: Ordered): Error {
    switch (outcome.type) {
      case 'unknown':
        return outcome.error;
      case 'refused':
        return runtimeError('ER4016', {
          detail: `Of ${subject}: ${outcome.description} (${outcome.code}).`,
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
  return ack.type === 'refused' && poisonCodes.has(ack.code);
}

function limitsOf({ connection, stream }: Session): Limits {
  return { server: connection.info?.max_payload, stream: stream.maxMessageBytes };
}
