import { AssertionError } from 'node:assert';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { LoggedEvent, OutboxEvent } from '../../log/outbox-event.ts';
import { ConsumerSink } from '../../sinks/consumer/consumer-sink.ts';
import { allAttributes } from '../../sinks/envelope.ts';
import { FileSink } from '../../sinks/file/file-sink.ts';
import { readFileSink } from '../../sinks/file/read-file-sink.ts';
import { MemorySink } from '../../sinks/memory/memory-sink.ts';
import { NullSink } from '../../sinks/null/null-sink.ts';
import type { Sink } from '../../sinks/sink.ts';
import { MemoryWorld, WorldSink } from './memory-world.suite.ts';
import { sinkConformance } from './sink-conformance.ts';
import type { ReceivedEvent, SinkCase, SinkSite } from './sink-site.ts';
import { Right, wrongSinks } from './wrong-sinks.suite.ts';
import { wrongWorldSinks } from './wrong-world-sinks.suite.ts';

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
  const without = ['received', 'envelope', 'outage', 'lease', 'poison'] as const;
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
  const without = ['envelope', 'outage', 'lease', 'poison'] as const;
  test.each(sinkConformance({ create, features, without }))('$name', holds);
});

describe('the sink into a function', () => {
  const create = inMemory(
    (taken) => new ConsumerSink({ name: 'consumer', handle: (event) => void taken.push(event) }),
  );
  const without = ['envelope', 'outage', 'lease', 'poison'] as const;
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
      // No producer can write such headers: a line of the file has them as attributes.
      poison: (logged) => ({ ...logged, event: { ...logged.event, headers: '{' } }),
      async [Symbol.asyncDispose]() {
        await rm(directory, { recursive: true });
      },
    };
  };
  test.each(sinkConformance({ create, features, without: ['outage'] }))('$name', holds);
});

describe('a sink that is wrong is convicted', () => {
  test.concurrent.each(wrongSinks)('it %s', async (_fault, failing, deliver) => {
    const failed = await failures({
      create: inMemory((taken) => {
        const right = new Right(taken);
        return Object.assign(new Right(taken), {
          deliver: async (...call: Parameters<Sink['deliver']>) => await deliver(right, ...call),
        });
      }),
      features,
      without: ['envelope', 'outage', 'poison'],
      patienceMs: 300,
      only: failing,
    });
    expect(failed.map(({ error }) => error)).toEqual([expect.any(AssertionError)]);
  });

  test.concurrent.each(wrongWorldSinks)('it %s', async (_fault, failing, Kind, declares) => {
    const declared = { ...features, ...declares };
    const failed = await failures({
      create: async () => new MemoryWorld((world) => new Kind(world, declared)),
      features: declared,
      without: ['envelope'],
      patienceMs: 300,
      only: failing,
    });
    expect(failed.map(({ error }) => error)).toEqual([expect.any(AssertionError)]);
  });

  test.each([false, true])('what they are made from is right, dedupe %s', async (dedupe) => {
    const declared = { ...features, dedupe };
    const create = async (): Promise<SinkSite> => new MemoryWorld((world) => new WorldSink(world, declared));
    expect(await failures({ create, features: declared, without: ['envelope'] })).toEqual([]);
  });

  test('one that declares what it is not', async () => {
    const create = inMemory((taken) => new Right(taken));
    const without = ['envelope', 'outage', 'poison'] as const;
    expect(await failures({ create, features, without })).toEqual([]);
    const dedupe = await failures({ create, features: { ...features, dedupe: true }, without });
    expect(dedupe.map(({ name }) => name)).toEqual([
      expect.stringMatching(/the features that it was said to have/),
      expect.stringMatching(/handed over again/),
      expect.stringMatching(/in a batch twice/),
      expect.stringMatching(/aborted in the middle/),
      expect.stringMatching(/disposed in the middle/),
      expect.stringMatching(/lease is lost in the middle/),
    ]);
    const limited = await failures({ create, features: { ...features, maxPayloadBytes: 100 }, without });
    expect(limited.map(({ name }) => name)).toContainEqual(expect.stringMatching(/above the limit/));
  });

  test('one that takes a replay for a repetition', async () => {
    const declared = { ...features, dedupe: true };
    const create = (Kind: typeof WorldSink) => async () =>
      new OpenWorld((world) => new Kind(world, declared));
    expect(await failures({ create: create(WorldSink), features: declared })).toEqual([]);
    const failed = await failures({ create: create(ByIdAlone), features: declared });
    expect(failed.map(({ name }) => name)).toEqual([expect.stringMatching(/what a replay brings/)]);
  });

  test('one whose envelope lacks something', async () => {
    const create = inMemory((taken) => new Right(taken));
    const failed = await failures({ create, features, without: ['outage', 'poison'] });
    expect(failed.map(({ name }) => name)).toEqual([
      expect.stringMatching(/the envelope arrives/),
      expect.stringMatching(/what a replay brings/),
    ]);
  });

  test('a site that has not what it does not name', async () => {
    const create = inMemory((taken) => new Right(taken));
    const failed = await failures({ create, features, without: ['envelope'] });
    expect(failed.length).toBeGreaterThan(5);
  });

  test.each(['freeze', 'poison'] as const)('a site that says it has no %s, and has', async (absence) => {
    const create = async (): Promise<SinkSite> => new MemoryWorld((world) => new WorldSink(world, features));
    const without = ['envelope', absence] as const;
    const failed = await failures({ create, features, without, only: /has a name/ });
    expect(failed).toEqual([{ name: expect.any(String), error: expect.any(AssertionError) }]);
  });
});

test('a sink that had not made sure is convicted when its destination goes away', async () => {
  const create = async (): Promise<SinkSite> => {
    const world = new MemoryWorld((where) => new WorldSink(where, features));
    const { outage } = world;
    return Object.assign(world, {
      outage: {
        ...outage,
        // It forgets what it was given last, though that was said to be delivered.
        async begin() {
          world.taken.splice(-3);
          await outage.begin();
        },
      },
    });
  };
  const failed = await failures({ create, features, without: ['envelope'] });
  expect(failed.map(({ name }) => name)).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/while the destination is away nothing is delivered/),
      expect.stringMatching(/aborted while the destination is away/),
      expect.stringMatching(/again and again/),
    ]),
  );
});

/** All cases at once: each has a destination of its own. */
async function failures(
  options: Parameters<typeof sinkConformance>[0] & { readonly only?: RegExp },
): Promise<ReadonlyArray<{ readonly name: string; readonly error: unknown }>> {
  const { only = /./ } = options;
  const cases = sinkConformance(options).filter(({ name }) => only.test(name));
  const outcomes = await Promise.allSettled(cases.map(({ run }) => run()));
  return outcomes.flatMap((outcome, index) =>
    outcome.status === 'rejected' ? [{ name: cases[index]?.name ?? '', error: outcome.reason }] : [],
  );
}

/** Shows the whole envelope. */
class OpenWorld extends MemoryWorld {
  override attributesOf(event: OutboxEvent): Record<string, string> {
    return allAttributes(event);
  }
}

class ByIdAlone extends WorldSink {
  override keyOf({ event }: LoggedEvent): string {
    return event.eventId;
  }
}
