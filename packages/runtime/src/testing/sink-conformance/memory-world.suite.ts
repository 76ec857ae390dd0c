import { setTimeout as sleep } from 'node:timers/promises';
import type { LoggedEvent, OutboxEvent } from '../../log/outbox-event.ts';
import type { DeliverOptions, DeliveryResult, Sink, SinkBatch, SinkFeatures } from '../../sinks/sink.ts';
import type { SinkSite } from './sink-site.ts';

/** Payloads above it the world never takes. No feature says so. */
const limit = 2_000_000;

/** A destination in memory that goes away, hangs, and refuses what is too large. */
export class MemoryWorld implements SinkSite {
  taken: LoggedEvent[] = [];
  away = false;
  hanging = false;
  readonly outage: Required<NonNullable<SinkSite['outage']>>;
  readonly #open: (world: MemoryWorld) => Sink;

  constructor(open: (world: MemoryWorld) => Sink) {
    this.#open = open;
    const become = (change: Partial<Pick<MemoryWorld, 'away' | 'hanging'>>) => async () =>
      void Object.assign(this, change);
    this.outage = {
      begin: become({ away: true }),
      end: become({ away: false }),
      freeze: become({ hanging: true }),
      thaw: become({ hanging: false }),
    };
  }

  async open(): Promise<Sink> {
    return this.#open(this);
  }

  async received(): ReturnType<NonNullable<SinkSite['received']>> {
    return this.taken.map(({ event }) => ({ attributes: this.attributesOf(event), data: event.payload }));
  }

  attributesOf({ eventId }: OutboxEvent): Record<string, string> {
    return { id: eventId };
  }

  poison(logged: LoggedEvent): LoggedEvent {
    return { ...logged, event: { ...logged.event, payload: Buffer.alloc(limit + 1, '1') } };
  }

  takes({ event }: LoggedEvent): boolean {
    return event.payload.length <= limit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is held.
  }
}

/** A sink that is right, to be made wrong. */
export class WorldSink implements Sink {
  readonly name: string = 'world';
  readonly features: SinkFeatures;
  readonly world: MemoryWorld;

  constructor(world: MemoryWorld, features: SinkFeatures) {
    this.world = world;
    this.features = features;
  }

  async deliver(batch: SinkBatch, options: DeliverOptions): Promise<readonly DeliveryResult[]> {
    await this.reach(options);
    this.require(options);
    this.store(batch.events.filter((logged) => this.world.takes(logged)));
    return batch.events.map((logged) =>
      this.world.takes(logged) ? { type: 'delivered' } : { type: 'rejected', reason: 'too large' },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is held.
  }

  /** As one waits for a connection, but not for ever. */
  async reach({ signal }: DeliverOptions): Promise<void> {
    await sleep(1);
    const until = performance.now() + 50;
    while (this.world.hanging) {
      signal.throwIfAborted();
      if (performance.now() > until) throw new Error('no answer');
      await sleep(2);
    }
  }

  require({ signal, valid }: DeliverOptions): void {
    signal.throwIfAborted();
    if (valid?.() === false) throw new Error('without the lease');
    if (this.world.away) throw new Error('nobody there');
  }

  keyOf({ event }: LoggedEvent): string {
    return `${event.eventId} ${event.replay}`;
  }

  store(events: readonly LoggedEvent[]): void {
    const { taken } = this.world;
    const known = new Set(taken.map((logged) => this.keyOf(logged)));
    for (const logged of events) {
      const id = this.keyOf(logged);
      if (!this.features.dedupe || !known.has(id)) taken.push(logged);
      known.add(id);
    }
  }
}
