import { runtimeError } from '../../errors/codes.ts';
import { aborted, orAborted } from '../../internal/or-aborted.ts';
import type { DeliverOptions, DeliveryResult, Sink, SinkBatch, SinkFeatures } from '../sink.ts';
import { Doubts } from './doubts.ts';
import { HeaderWriter } from './header-writer.ts';
import type { NatsConnectionOptions } from './nats-connection.ts';
import { messageId } from './nats-envelope.ts';
import { inspectStream, openSession, type Session, type SessionOptions } from './nats-session.ts';
import { PreparedBatch } from './prepared-batch.ts';
import { type InOrderOptions, type Outcome, publishInOrder } from './publish-in-order.ts';
import type { Ack } from './publisher.ts';
import type { StreamConcern, StreamOptions, StreamReport } from './stream.ts';
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
  /** Milliseconds before what was not acknowledged is handed over again, the first time. Default 1,000. */
  readonly retryAfterMs?: number;
  /** Told, once for each connection, by which properties of the stream events may be lost. */
  readonly onConcern?: (concern: StreamConcern) => void;
}

/** JetStream's err_codes for a message above `max_msg_size`, and for headers above 64 KiB. */
const poisonCodes: ReadonlySet<number> = new Set([10_054, 10_097]);

const delivered: DeliveryResult = { type: 'delivered' };

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
    const session = await this.#opened(signal);
    const prepared = this.#prepared(batch, session);
    if (!valid()) throw runtimeError('ER1207', { detail: `Sink ${this.name}.` });
    const { publisher } = session;
    const { batches } = prepared;
    const outcomes = await this.#published(prepared, {
      session,
      options: { publisher, batches, signal, valid, isPoison },
    });
    const ending = session.ending();
    // The server may be gone without a word, and another of its cluster may be there.
    const left = outcomes.some(({ type }) => type === 'unknown') || publisher.streamChanged;
    if (left) this.#leave(session);
    return batch.events.map(({ event, subject }, place) => {
      const id = messageId(event);
      const message = prepared.at(place);
      const outcome = outcomes[place] as Outcome;
      if (message !== undefined) this.#doubts.note(id, outcome, ending);
      const result =
        message === undefined
          ? (prepared.resultAt(place) as DeliveryResult)
          : this.#resultOf(outcome, subject);
      if (result.type === 'rejected') this.#doubts.forget(id);
      return result;
    });
  }

  /**
   * Connects and looks at the stream; makes and sends nothing.
   *
   * @returns undefined: there is no such stream yet
   * @throws ER4014, ER4015, ER5002
   */
  async inspect(): Promise<StreamReport | undefined> {
    return await inspectStream(this.#sessionOptions());
  }

  /** What waits for an acknowledgement, and a connection that is being made, is given up. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposal.abort();
    const session = await this.#session?.catch(() => undefined);
    this.#session = undefined;
    await session?.connection.close();
  }

  get #retryAfterMs(): number {
    return this.#options.retryAfterMs ?? 1_000;
  }

  #template(text: string): SubjectTemplate {
    const known = this.#templates.get(text) ?? new SubjectTemplate(text);
    this.#templates.set(text, known);
    return known;
  }

  async #opened(signal: AbortSignal): Promise<Session> {
    let opening = this.#open();
    const session = await orAborted(opening, signal);
    if (session !== aborted && session.limits.outdated) {
      this.#leave(session);
      opening = this.#open();
      await orAborted(opening, signal);
    }
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

  #prepared({ events }: SinkBatch, session: Session): PreparedBatch {
    return new PreparedBatch(events, {
      stream: this.#options.stream.name,
      limits: session.limits,
      retryAfterMs: this.#retryAfterMs,
      batches: session.stream.batches,
      writer: this.#writer,
      doubts: this.#doubts,
      subjectOf: (event, template) =>
        (template === undefined ? this.#subject : this.#template(template)).of(event),
    });
  }

  /** What is on its way when it ends early, and what became of it, is not known: nothing more goes over that connection. */
  async #published(
    prepared: PreparedBatch,
    { session, options }: { readonly session: Session; readonly options: InOrderOptions },
  ): Promise<readonly Outcome[]> {
    try {
      return await publishInOrder(prepared, options);
    } catch (error) {
      this.#leave(session);
      throw error;
    }
  }

  /** @param template of its subject; undefined: the sink's own */
  #resultOf(outcome: Outcome, template: string | undefined): DeliveryResult {
    if (outcome.type === 'stored') return delivered;
    if (outcome.type === 'refused' && isPoison(outcome)) {
      return { type: 'rejected', reason: `${outcome.description} (${outcome.code})` };
    }
    return { type: 'retry', afterMs: this.#retryAfterMs, error: this.#errorOf(outcome, template) };
  }

  /** The subject itself has tenants and keys in it, and the error goes into logs. */
  #errorOf(outcome: Exclude<Outcome, { type: 'stored' }>, template = this.#subject.text): Error {
    switch (outcome.type) {
      case 'unknown':
        return outcome.error;
      case 'refused':
        return runtimeError('ER4016', {
          detail: `Of an event for ${template}: ${outcome.description} (${outcome.code}).`,
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
