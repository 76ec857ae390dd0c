import { AssertionError } from 'node:assert';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import { ConsumerSink } from '../../sinks/consumer/consumer-sink.ts';
import { FileSink } from '../../sinks/file/file-sink.ts';
import { readFileSink } from '../../sinks/file/read-file-sink.ts';
import { MemorySink } from '../../sinks/memory/memory-sink.ts';
import { NullSink } from '../../sinks/null/null-sink.ts';
import type { Sink } from '../../sinks/sink.ts';
import { sinkConformance } from './sink-conformance.ts';
import type { ReceivedEvent, SinkCase, SinkSite } from './sink-site.ts';

/** Sinks that keep events in memory share what they have taken. */
function inMemory(open: (taken: LoggedEvent[]) => Sink): () => Promise<SinkSite> {
  return async () => {
    const taken: LoggedEvent[] = [];
    return {
      open: async () => open(taken),
      received: async () => taken.map(receivedEvent),
      async [Symbol.asyncDispose]() {
        // Nothing is held.
      },
    };
  };
}

function receivedEvent({ event }: LoggedEvent): ReceivedEvent {
  return { attributes: { id: event.eventId }, data: event.payload };
}

async function holds({ run }: SinkCase): Promise<void> {
  await expect(run()).resolves.toBeUndefined();
}

const features = { order: true, dedupe: false, ownCheckpoint: false };

describe('the null sink', () => {
  const create = async (): Promise<SinkSite> => ({
    open: async () => new NullSink({ name: 'null' }),
    async [Symbol.asyncDispose]() {
      // Nothing is held.
    },
  });
  const without = ['received', 'envelope', 'outage', 'lease'] as const;
  test.each(sinkConformance({ create, features, without }))('$name', holds);
});

describe('the memory sink', () => {
  const create = async (): Promise<SinkSite> => {
    const opened: MemorySink[] = [];
    return {
      async open() {
        const sink = new MemorySink({ name: 'memory' });
        opened.push(sink);
        return sink;
      },
      received: async () => opened.flatMap(({ events }) => events).map(receivedEvent),
      async [Symbol.asyncDispose]() {
        // Nothing is held.
      },
    };
  };
  const without = ['envelope', 'outage', 'lease'] as const;
  test.each(sinkConformance({ create, features, without }))('$name', holds);
});

describe('the sink into a function', () => {
  const create = inMemory(
    (taken) => new ConsumerSink({ name: 'consumer', handle: (event) => void taken.push(event) }),
  );
  const without = ['envelope', 'outage', 'lease'] as const;
  test.each(sinkConformance({ create, features, without }))('$name', holds);
});

describe('the file sink', () => {
  const create = async (): Promise<SinkSite> => {
    const directory = await mkdtemp(join(tmpdir(), 'file-conformance-'));
    const path = join(directory, 'events.ndjson');
    return {
      open: async () => await FileSink.open({ name: 'file', path }),
      async received() {
        const all: ReceivedEvent[] = [];
        for await (const entry of readFileSink(path)) all.push(entry);
        return all;
      },
      async [Symbol.asyncDispose]() {
        await rm(directory, { recursive: true });
      },
    };
  };
  test.each(sinkConformance({ create, features, without: ['outage'] }))('$name', holds);
});

/** A sink that is right, to be made wrong. */
class Right implements Sink {
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
const wrong: ReadonlyArray<
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

describe('a sink that is wrong is convicted', () => {
  test.each(wrong)('it %s', async (_fault, failing, deliver) => {
    const failed = await failures({
      create: inMemory((taken) => {
        const right = new Right(taken);
        return Object.assign(new Right(taken), {
          deliver: async (...call: Parameters<Sink['deliver']>) => await deliver(right, ...call),
        });
      }),
      features,
      without: ['envelope', 'outage'],
      patienceMs: 300,
    });
    expect(failed.find(({ name }) => failing.test(name))?.error).toBeInstanceOf(AssertionError);
  });

  test('one that declares what it is not', async () => {
    const create = inMemory((taken) => new Right(taken));
    const without = ['envelope', 'outage'] as const;
    expect(await failures({ create, features, without })).toEqual([]);
    const dedupe = await failures({ create, features: { ...features, dedupe: true }, without });
    expect(dedupe.map(({ name }) => name)).toEqual([
      expect.stringMatching(/the features that it was said to have/),
      expect.stringMatching(/handed over again/),
      expect.stringMatching(/aborted in the middle/),
      expect.stringMatching(/disposed in the middle/),
    ]);
    const limited = await failures({ create, features: { ...features, maxPayloadBytes: 100 }, without });
    expect(limited.map(({ name }) => name)).toContainEqual(expect.stringMatching(/above the limit/));
  });

  test('one whose envelope lacks something', async () => {
    const create = inMemory((taken) => new Right(taken));
    const failed = await failures({ create, features, without: ['outage'] });
    expect(failed.map(({ name }) => name)).toEqual([expect.stringMatching(/the envelope arrives/)]);
  });

  test('a site that has not what it does not name', async () => {
    const create = inMemory((taken) => new Right(taken));
    const failed = await failures({ create, features, without: ['envelope'] });
    expect(failed.length).toBeGreaterThan(5);
  });
});

describe('a destination that goes away', () => {
  /** @param lossy forgets what it was given last when it goes away, though it was said to be delivered */
  const create = (lossy: boolean) => async (): Promise<SinkSite> => {
    const taken: LoggedEvent[] = [];
    let away = false;
    return {
      open: async () =>
        Object.assign(new Right(taken), {
          deliver: async (...[batch, options]: Parameters<Sink['deliver']>) => {
            await sleep(1);
            if (away) throw new Error('nobody there');
            return await new Right(taken).deliver(batch, options);
          },
        }),
      received: async () => taken.map(receivedEvent),
      outage: {
        async begin() {
          away = true;
          if (lossy) taken.splice(-3);
        },
        async end() {
          away = false;
        },
      },
      async [Symbol.asyncDispose]() {
        // Nothing is held.
      },
    };
  };

  test('a sink that says so passes, one that had not made sure is convicted', async () => {
    const without = ['envelope'] as const;
    expect(await failures({ create: create(false), features, without })).toEqual([]);
    const failed = await failures({ create: create(true), features, without });
    expect(failed.map(({ name }) => name)).toEqual([
      expect.stringMatching(/while the destination is away nothing is delivered/),
      expect.stringMatching(/aborted while the destination is away/),
      expect.stringMatching(/again and again/),
    ]);
  });
});

async function failures(
  options: Parameters<typeof sinkConformance>[0],
): Promise<Array<{ readonly name: string; readonly error: unknown }>> {
  const failed: Array<{ readonly name: string; readonly error: unknown }> = [];
  for (const { name, run } of sinkConformance(options)) {
    try {
      await run();
    } catch (error) {
      failed.push({ name, error });
    }
  }
  return failed;
}
