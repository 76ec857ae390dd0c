import { entityOf, type OutboxEvent } from '../../log/outbox-event.ts';
import type { DeliveryResult, HandedEvent } from '../sink.ts';
import type { BatchKind } from './batch-writer.ts';
import type { Care, Doubts } from './doubts.ts';
import type { HeaderWriter } from './header-writer.ts';
import { inAtomicBatch, type Limits, mostHeaderBytes, type Size, sizeOf, tooLarge } from './message-size.ts';
import { messageId, natsHeaders } from './nats-envelope.ts';
import type { Batches, Messages, Ordered } from './publish-in-order.ts';

export interface PreparedBatchOptions {
  readonly stream: string;
  readonly limits: Limits;
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
  readonly #rejected = new Map<number, DeliveryResult>();
  #large = false;

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

  /** Undefined: it is rejected, see {@link resultAt}. */
  at(place: number): Ordered | undefined {
    // One after another: a list with gaps is slower.
    while (this.#messages.length <= place) this.#messages.push(this.#make(this.#messages.length));
    return this.#messages[place];
  }

  /** What is known of an event without sending it; undefined: it is sent. */
  resultAt(place: number): DeliveryResult | undefined {
    return this.at(place) === undefined ? this.#rejected.get(place) : undefined;
  }

  /** Whether one of them is above a limit. Makes all of them, unless payloads alone say that none can be. */
  tooLarge(): boolean {
    const { server = Number.POSITIVE_INFINITY, stream = Number.POSITIVE_INFINITY } = this.#options.limits;
    const most = Math.min(server, stream) - mostHeaderBytes;
    if (this.#events.every(({ event }) => event.payload.length <= most)) return false;
    this.at(this.length - 1);
    return this.#large;
  }

  #make(place: number): Ordered | undefined {
    const { stream, limits, writer, doubts, subjectOf } = this.#options;
    const { event, subject: template } = this.#events[place] as HandedEvent;
    const { payload } = event;
    const subject = subjectOf(event, template);
    const headers = natsHeaders(event, { stream, writer });
    const size = sizeOf({ subject, headers, payload });
    const excess = tooLarge(size, limits);
    const id = messageId(event);
    const reason = excess ?? doubts.poisonOf(id);
    this.#large ||= excess !== undefined;
    if (reason !== undefined) {
      this.#rejected.set(place, { type: 'rejected', reason });
      return undefined;
    }
    return {
      subject,
      headers,
      payload,
      entity: entityOf(event),
      care: this.#careOf(id, size),
      endings: doubts.endingsOf(id),
    };
  }

  #careOf(id: string, size: Size): Care {
    const { doubts, limits, batches } = this.#options;
    const care = doubts.careOf(id);
    if (care !== 'free' || batches !== 'atomic') return care;
    return tooLarge(inAtomicBatch(size), limits) === undefined ? 'free' : 'one by one';
  }
}
