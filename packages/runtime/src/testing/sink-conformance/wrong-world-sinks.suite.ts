import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import type { DeliverOptions, DeliveryResult, SinkBatch, SinkFeatures } from '../../sinks/sink.ts';
import { WorldSink } from './memory-world.suite.ts';

type Results = Promise<readonly DeliveryResult[]>;

function delivered(batch: SinkBatch): readonly DeliveryResult[] {
  return batch.events.map(() => ({ type: 'delivered' }));
}

class ByContent extends WorldSink {
  override store(events: readonly LoggedEvent[]): void {
    for (const logged of events) {
      const known = this.world.taken.some(({ event }) => event.payload.equals(logged.event.payload));
      if (!known) this.world.taken.push(logged);
    }
  }
}

class ByHighestSeq extends WorldSink {
  override store(events: readonly LoggedEvent[]): void {
    for (const logged of events) {
      const last = this.world.taken.at(-1);
      if (last === undefined || logged.event.seq > last.event.seq) this.world.taken.push(logged);
    }
  }
}

class AsksOnce extends WorldSink {
  override async deliver(batch: SinkBatch, options: DeliverOptions): Results {
    this.require(options);
    await sleep(2);
    return await super.deliver(batch, { signal: options.signal });
  }
}

class AsksBeforeItConnects extends WorldSink {
  override async deliver(batch: SinkBatch, options: DeliverOptions): Results {
    if (options.valid?.() === false) throw new Error('without the lease');
    for (; this.world.away; await sleep(5)) options.signal.throwIfAborted();
    return await super.deliver(batch, { signal: options.signal });
  }
}

class GoesOnBehindTheAbort extends WorldSink {
  override async deliver(batch: SinkBatch, options: DeliverOptions): Results {
    this.require(options);
    const writing = (async () => {
      for (const [index, logged] of batch.events.entries()) {
        if (this.world.away) throw new Error('nobody there');
        this.world.taken.push(logged);
        if (index % 50 === 0) await nextTurn();
      }
    })();
    writing.catch(() => undefined);
    const aborted = new Promise<never>((_, reject) => {
      options.signal.addEventListener('abort', () => reject(new Error('aborted')));
    });
    await Promise.race([writing, aborted]);
    return delivered(batch);
  }
}

class WritesWhenItIsBack extends WorldSink {
  override async deliver(batch: SinkBatch, options: DeliverOptions): Results {
    options.signal.throwIfAborted();
    const { signal } = new AbortController();
    const writing = (async () => {
      while (this.world.away) await sleep(2);
      return await super.deliver(batch, { ...options, signal });
    })();
    const aborted = new Promise<never>((_, reject) => {
      options.signal.addEventListener('abort', () => reject(new Error('aborted')));
    });
    return await Promise.race([writing, aborted]);
  }
}

class WaitsToBeDisposed extends WorldSink {
  override async [Symbol.asyncDispose](): Promise<void> {
    while (this.world.away) await sleep(5);
  }
}

class WithoutTimeLimit extends WorldSink {
  override async reach({ signal }: DeliverOptions): Promise<void> {
    await sleep(1);
    for (; this.world.hanging; await sleep(2)) signal.throwIfAborted();
  }
}

class HangsWhenAborted extends WorldSink {
  override async reach(): Promise<void> {
    while (this.world.hanging) await sleep(2);
  }
}

class ChangesPayloads extends WorldSink {
  override store(events: readonly LoggedEvent[]): void {
    for (const { event } of events) event.payload.fill(88);
    super.store(events);
  }
}

class ChangesThemBehind extends WorldSink {
  override store(events: readonly LoggedEvent[]): void {
    const copies = events.map((logged) => ({
      ...logged,
      event: { ...logged.event, payload: Buffer.from(logged.event.payload) },
    }));
    for (const { event } of events) event.payload.fill(0);
    super.store(copies);
  }
}

class AnswersWhenAway extends WorldSink {
  readonly retry: object = { type: 'retry' };

  override async deliver(batch: SinkBatch, options: DeliverOptions): Results {
    try {
      return await super.deliver(batch, options);
    } catch {
      return batch.events.map(() => this.retry as DeliveryResult);
    }
  }
}

class RetriesAtNoTime extends AnswersWhenAway {
  override readonly retry = { type: 'retry', afterMs: Number.NaN, error: new Error('away') };
}

class RetriesForText extends AnswersWhenAway {
  override readonly retry = { type: 'retry', afterMs: 10, error: 'away' };
}

class StopsAtPoison extends WorldSink {
  override async deliver(batch: SinkBatch, options: DeliverOptions): Results {
    if (!batch.events.every((logged) => this.world.takes(logged))) throw new Error('too large');
    return await super.deliver(batch, options);
  }
}

class TurnsOthersRound extends WorldSink {
  override store(events: readonly LoggedEvent[]): void {
    const mine = events.filter(({ event }) => event.tenantId === 'acme');
    const others = events.filter(({ event }) => event.tenantId !== 'acme');
    super.store([...mine, ...others.toReversed()]);
  }
}

class AnswersById extends WorldSink {
  override async deliver(batch: SinkBatch, options: DeliverOptions): Results {
    const byId = new Map(batch.events.map((logged) => [logged.event.eventId, logged]));
    return await super.deliver({ ...batch, events: [...byId.values()] }, options);
  }
}

class StoresNoCheckpoint extends WorldSink {
  override async deliver(batch: SinkBatch, options: DeliverOptions): Results {
    return batch.events.length === 0 ? [] : await super.deliver(batch, options);
  }
}

/** How a sink can be wrong, the case that must say so, and the sink; what it declares beside the order. */
export const wrongWorldSinks: ReadonlyArray<
  readonly [fault: string, failing: RegExp, kind: typeof WorldSink, declares: Partial<SinkFeatures>]
> = [
  ['takes equal payloads for the same event', /byte for byte, equal ones/, ByContent, { dedupe: true }],
  ['skips what is older than what it has', /what was held back/, ByHighestSeq, { dedupe: true }],
  ['asks for the lease once, waits, and writes', /the lease is lost in the middle/, AsksOnce, {}],
  [
    'asks for the lease before it waits for its destination',
    /the lease is lost while the destination is away/,
    AsksBeforeItConnects,
    {},
  ],
  ['goes on writing when it is aborted', /aborted in the middle/, GoesOnBehindTheAbort, {}],
  [
    'writes what was aborted when its destination is back',
    /aborted while the destination is away/,
    WritesWhenItIsBack,
    {},
  ],
  [
    'waits for its destination to be disposed',
    /disposed while the destination is away/,
    WaitsToBeDisposed,
    {},
  ],
  ['has no time limit of its own', /a destination that hangs/, WithoutTimeLimit, {}],
  ['does not look at the signal while it waits', /aborted or disposed while .* hangs/, HangsWhenAborted, {}],
  ['overwrites payloads', /byte for byte/, ChangesPayloads, {}],
  ['overwrites payloads once they are written', /one result for each event/, ChangesThemBehind, {}],
  ['retries without saying when', /without the lease nothing/, AnswersWhenAway, {}],
  ['retries at no time', /without the lease nothing/, RetriesAtNoTime, {}],
  ['retries for a text', /aborted while the destination is away/, RetriesForText, {}],
  ['lets one event that is too large stop the others', /rejected alone/, StopsAtPoison, {}],
  ['keeps the order of one tenant', /each entity in order/, TurnsOthersRound, {}],
  ['has one result for an event that is there twice', /in a batch twice/, AnswersById, {}],
  [
    'says that a checkpoint is stored while nobody is there',
    /an empty batch while/,
    StoresNoCheckpoint,
    { ownCheckpoint: true },
  ],
];
