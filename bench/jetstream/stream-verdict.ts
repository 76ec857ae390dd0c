import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import type { RelaySite } from '../relay/site.ts';

/** What is read of each message. */
export interface StoredMessage {
  readonly id: string;
  /** In the outbox. */
  readonly seq: number;
  readonly entity: string;
  /** In the stream, from 1 on. */
  readonly streamSeq: number;
  /** By the server's clock, when it stored it: microseconds since 1970. */
  readonly storedAt: number;
}

/** A stream's messages in their order, by a consumer of its own that gets headers only. */
async function readStored(
  url: string,
  stream: string,
  each: (message: StoredMessage) => void,
): Promise<void> {
  const connection = await connect({ servers: [url] });
  try {
    const jsm = await jetstreamManager(connection);
    const { messages } = (await jsm.streams.info(stream)).state;
    if (messages === 0) return;
    const consumer = await jetstream(connection).consumers.get(stream, { headers_only: true });
    for await (const message of await consumer.consume({ max_messages: 5_000 })) {
      const { headers, info } = message;
      each({
        id: headers?.get('Nats-Msg-Id') ?? '',
        seq: Number(headers?.get('ce-seq')),
        entity: headers?.get('ce-entitykey') ?? '',
        streamSeq: info.streamSequence,
        storedAt: Number(BigInt(info.timestampNanos) / 1_000n),
      });
      if (info.pending === 0) break;
    }
  } finally {
    await connection.close();
  }
}

/** Counts what is amiss in a stream: each event should be there once, none that is not in the outbox, in its entity's order. */
export class StreamVerdict {
  readonly #missing: Set<string>;
  readonly #events: number;
  readonly #last = new Map<string, number>();
  #messages = 0;
  #strange = 0;
  #reordered = 0;

  /** @param ids of the events that it should have */
  constructor(ids: Iterable<string>) {
    this.#missing = new Set(ids);
    this.#events = this.#missing.size;
  }

  /** The next message of the stream. */
  see({ id, seq, entity }: Pick<StoredMessage, 'id' | 'seq' | 'entity'>): void {
    this.#messages += 1;
    if (!this.#missing.delete(id)) this.#strange += 1;
    if (seq < (this.#last.get(entity) ?? 0)) this.#reordered += 1;
    this.#last.set(entity, seq);
  }

  /** Undefined: nothing is amiss. */
  get complaint(): string | undefined {
    if (this.#missing.size === 0 && this.#strange === 0 && this.#reordered === 0) return undefined;
    return `${this.#messages} messages for ${this.#events} events: ${this.#missing.size} are lost, ${this.#strange} are there twice or are none of them, ${this.#reordered} are behind a later one of their entity`;
  }
}

/** Judges a stream by the outbox. @throws Error with what is amiss */
export async function judgeStream(
  site: RelaySite,
  options: {
    readonly url: string;
    readonly stream: string;
    /** The events from behind this `seq` on. */
    readonly after: number;
    /** Told of each message, in the stream's order. */
    readonly each?: (message: StoredMessage) => void;
  },
): Promise<void> {
  const { rows } = await site.sql.query<{ id: string }>(
    `select event_id::text as id from event_runtime.outbox where seq > ${options.after}`,
  );
  const verdict = new StreamVerdict(rows.map(({ id }) => id));
  await readStored(options.url, options.stream, (message) => {
    verdict.see(message);
    options.each?.(message);
  });
  const { complaint } = verdict;
  if (complaint !== undefined) throw new Error(`stream ${options.stream} has ${complaint}`);
}
