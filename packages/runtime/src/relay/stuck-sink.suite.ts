import { deferred } from '../internal/deferred.ts';
import type { DeliveryResult, Sink } from '../sinks/sink.ts';
import { type Arrival, write } from './ledger.suite.ts';
import type { SinkSource } from './relay.ts';

/** How a sink fails: it never answers (and heeds no signal), throws, or asks for one entity again and again. */
export type Trouble = 'never resolves' | 'rejects' | 'asks again for one entity';

/** A sink that stands still in some way, until it is mended. */
export class StuckSink {
  readonly name = 'stuck';
  /** In the order of success. */
  readonly arrivals: Arrival[] = [];
  readonly #trouble: Trouble;
  readonly #mended = deferred();
  #isMended = false;

  constructor(trouble: Trouble) {
    this.#trouble = trouble;
  }

  mend(): void {
    this.#isMended = true;
    this.#mended.resolve();
  }

  get source(): SinkSource {
    return { name: this.name, create: () => this.#sink() };
  }

  #sink(): Sink {
    return {
      name: this.name,
      features: { order: true, dedupe: false, ownCheckpoint: false },
      deliver: async ({ events }) => {
        if (this.#trouble === 'never resolves') await this.#mended.promise;
        else if (this.#trouble === 'rejects' && !this.#isMended) throw new Error('gone');
        return events.map(({ event }): DeliveryResult => {
          if (!this.#isMended && event.entityKey === 'e1') {
            return { type: 'retry', afterMs: 20, error: new Error('not this one') };
          }
          this.arrivals.push({ eventId: event.eventId, entity: event.entityKey });
          return { type: 'delivered' };
        });
      },
      async [Symbol.asyncDispose]() {
        // Holds nothing.
      },
    };
  }
}

/** Writes so many events, each in a transaction of its own. */
export async function writeMany(
  client: Parameters<typeof write>[0],
  options: { readonly events: number; readonly size?: number },
): Promise<void> {
  for (let at = 0; at < options.events; at += 1) await write(client, { size: options.size ?? 10 });
}
