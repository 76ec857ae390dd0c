import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import type { Sink } from '../../sinks/sink.ts';

const features = { order: true, dedupe: false, ownCheckpoint: false };

/** A sink that is right, to be made wrong. */
export class Right implements Sink {
  readonly name: string = 'right';
  readonly features = features;
  readonly taken: LoggedEvent[];

  constructor(taken: LoggedEvent[]) {
    this.taken = taken;
  }

  async deliver(...[batch, options]: Parameters<Sink['deliver']>): ReturnType<Sink['deliver']> {
    options.signal.throwIfAborted();
    if (options.valid?.() === false) throw new Error('without the lease');
    this.taken.push(...batch.events);
    return batch.events.map(() => ({ type: 'delivered' }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is held.
  }
}

type Batch = Parameters<Sink['deliver']>[0];

/** The batch with other events. */
function having(batch: Batch, change: (events: readonly LoggedEvent[]) => LoggedEvent[]): Batch {
  return { ...batch, events: change(batch.events) };
}

/** How a sink can be wrong, and the case that must say so. */
export const wrongSinks: ReadonlyArray<
  readonly [
    fault: string,
    failing: RegExp,
    deliver: (right: Right, ...call: Parameters<Sink['deliver']>) => ReturnType<Sink['deliver']>,
  ]
> = [
  [
    'loses the last of a batch, and says that it is delivered',
    /one result for each event/,
    async (right, batch, options) => {
      await right.deliver(
        having(batch, (events) => events.slice(0, -1)),
        options,
      );
      return batch.events.map(() => ({ type: 'delivered' }));
    },
  ],
  [
    'gives a result too few',
    /one result for each event/,
    async (right, batch, options) => (await right.deliver(batch, options)).slice(1),
  ],
  [
    'invents an event for an empty batch',
    /one result for each event/,
    async (right, batch, options) =>
      batch.events.length === 0 ? [{ type: 'delivered' }] : await right.deliver(batch, options),
  ],
  [
    'turns a batch round',
    /each entity in order/,
    async (right, batch, options) =>
      await right.deliver(
        having(batch, (all) => all.toReversed()),
        options,
      ),
  ],
  [
    'delivers what comes behind an event that is to be retried',
    /each entity in order/,
    async (right, batch, options) => {
      const [first, ...rest] = batch.events;
      if (first === undefined || rest.length === 0) return await right.deliver(batch, options);
      const results = await right.deliver(
        having(batch, () => rest),
        options,
      );
      return [{ type: 'retry', afterMs: 0, error: new Error('not now') }, ...results];
    },
  ],
  [
    'parses the payload and writes it again',
    /byte for byte/,
    async (right, batch, options) =>
      await right.deliver(
        having(batch, (all) =>
          all.map((logged) => {
            const payload = Buffer.from(JSON.stringify(JSON.parse(logged.event.payload.toString())));
            return { ...logged, event: { ...logged.event, payload } };
          }),
        ),
        options,
      ),
  ],
  [
    'asks neither the signal nor the lease',
    /aborted before it begins/,
    async (right, batch) => await right.deliver(batch, { signal: new AbortController().signal }),
  ],
  [
    'does not ask for the lease',
    /without the lease/,
    async (right, batch, { signal }) => await right.deliver(batch, { signal }),
  ],
  [
    'says that it is delivered when it is aborted',
    /aborted in the middle/,
    async (right, batch, options) => {
      await nextTurn();
      if (options.signal.aborted) return batch.events.map(() => ({ type: 'delivered' }));
      return await right.deliver(batch, options);
    },
  ],
  [
    'never settles once it is aborted',
    /aborted in the middle/,
    async (right, batch, options) => {
      await nextTurn();
      if (options.signal.aborted) await Promise.withResolvers<never>().promise;
      return await right.deliver(batch, options);
    },
  ],
];
