import { runtimeError } from '../../errors/codes.ts';
import { entityOf, type OutboxEvent } from '../../log/outbox-event.ts';
import type { DeliveryResult, HandedEvent } from '../sink.ts';
import type { BatchKind } from './batch-writer.ts';
import type { Care, Doubts } from './doubts.ts';
import type { HeaderWriter } from './header-writer.ts';
import type { KnownLimits } from './known-limits.ts';
import { inAtomicBatch, type Size, sizeOf, tooLarge } from './message-size.ts';
import { messageId, natsHeaders } from './nats-envelope.ts';
import type { Batches, Messages, Ordered } from './publish-in-order.ts';

export interface PreparedBatchOptions {
  readonly stream: string;
  readonly limits: Pick<KnownLimits, 'known' | 'confirmedFor' | 'trouble' | 'ask' | 'release'>;
  /** Milliseconds before a message is handed over again that is above a limit which must be asked for anew. */
  readonly retryAfterMs: number;
  /** How the stream takes batches, see {@link BatchKind}. */
  readonly batches: BatchKind | undefined;
  readonly writer: HeaderWriter;
  readonly doubts: Doubts;
  readonly subjectOf: (event: OutboxEvent, template: string | undefined) => string;
}

/** In one batch: what every server takes of atomic ones by default. */
const batchMessages = 1_000;
/** From so many events on all of them go in batches, unless their payloads have more bytes than that in the mean. */
const [allFrom, largeBytes] = [500, 2_048];

/** The messages of a batch for one session, each made when it is asked for. */
export class PreparedBatch implements Messages {
  readonly length: number;
  readonly #events: readonly HandedEvent[];
  readonly #options: PreparedBatchOptions;
  readonly #messages: Array<Ordered | undefined> = [];
  /** Of what is not sent. */
  readonly #results = new Map<number, DeliveryResult>();
  /** Entities of which something waits until a limit is known: nothing more of them goes. */
  readonly #held = new Map<string, DeliveryResult>();

  constructor(events: readonly HandedEvent[], options: PreparedBatchOptions) {
    this.length = events.length;
    this.#events = events;
    this.#options = options;
  }

  /**
   * How they go in batches: all of them where they are many. Of large ones there would be few in each, and each batch waits
   * for the one before. Undefined: the stream takes none.
   */
  get batches(): Batches | undefined {
    const { batches: kind } = this.#options;
    if (kind === undefined) return undefined;
    let bytes = 0;
    for (const { event } of this.#events) bytes += event.payload.length;
    const all = this.length >= allFrom && bytes <= largeBytes * this.length;
    return { kind, limit: batchMessages, all };
  }

  /** Undefined: it is not sent, see {@link resultAt}. */
  at(place: number): Ordered | undefined {
    // One after another: a list with gaps is slower.
    while (this.#messages.length <= place) this.#messages.push(this.#make(this.#messages.length));
    return this.#messages[place];
  }

  /** What is known of an event without sending it; undefined: it is sent. */
  resultAt(place: number): DeliveryResult | undefined {
    return this.at(place) === undefined ? this.#results.get(place) : undefined;
  }

  #make(place: number): Ordered | undefined {
    const { stream, writer, doubts, subjectOf } = this.#options;
    const { event, subject: template } = this.#events[place] as HandedEvent;
    const { payload } = event;
    const subject = subjectOf(event, template);
    const headers = natsHeaders(event, { stream, writer });
    const size = sizeOf({ subject, headers, payload });
    const [id, entity] = [messageId(event), entityOf(event)];
    const result = (entity === undefined ? undefined : this.#held.get(entity)) ?? this.#unsent(id, size);
    if (result !== undefined) {
      this.#results.set(place, result);
      if (result.type === 'retry' && entity !== undefined) this.#held.set(entity, result);
      return undefined;
    }
    return {
      subject,
      headers,
      payload,
      entity,
      care: this.#careOf(id, size),
      endings: doubts.endingsOf(id),
    };
  }

  /** What becomes of a message without sending it; undefined: it may be sent. By a limit that may have changed none is rejected. */
  #unsent(id: string, size: Size): DeliveryResult | undefined {
    const { limits, doubts, retryAfterMs } = this.#options;
    const excess = tooLarge(size, limits.known);
    const reason =
      (excess === undefined ? undefined : tooLarge(size, limits.confirmedFor(id))) ?? doubts.poisonOf(id);
    if (reason !== undefined) {
      limits.release(id);
      return { type: 'rejected', reason };
    }
    if (excess === undefined) return undefined;
    limits.ask(id, size.all);
    const { trouble } = limits;
    const why = trouble === undefined ? '' : `, and there was no answer: ${trouble.message}`;
    const error = runtimeError('ER4016', {
      detail: `It is asked for anew whether that still holds: ${excess}${why}.`,
    });
    return { type: 'retry', afterMs: retryAfterMs, error };
  }

  #careOf(id: string, size: Size): Care {
    const { doubts, limits, batches } = this.#options;
    const care = doubts.careOf(id);
    if (care !== 'free' || batches !== 'atomic') return care;
    return tooLarge(inAtomicBatch(size), limits.known) === undefined ? 'free' : 'one by one';
  }
}
