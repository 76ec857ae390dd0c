import { FaultProxy } from '@event-runtime/simulators';
import type { StreamConfig } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { NatsServer } from '../../testing/nats-server.ts';
import { readNatsStream } from '../../testing/read-nats-stream.ts';
import { checkReceived } from '../../testing/sink-conformance/checks.ts';
import { batchOf, ConformanceEvents } from '../../testing/sink-conformance/conformance-events.ts';
import { handOver } from '../../testing/sink-conformance/handover.ts';
import { NatsSite } from './nats-site.suite.ts';
import type { StreamConcern } from './stream.ts';

const program = inject('natsServer');
const { signal } = new AbortController();
const options = { signal, batch: 100 };

describe.skipIf(program === undefined)('into a real server [needs nats-server]', () => {
  let site: NatsSite;
  let make: ConformanceEvents;
  beforeEach(async () => {
    site = await NatsSite.create(program!);
    make = new ConformanceEvents();
  });
  afterEach(async () => {
    await site?.[Symbol.asyncDispose]();
  });

  test('the stream that is made is durable, deduplicates, and takes batches', async () => {
    await using sink = site.sink({
      stream: { name: 'EVENTS', duplicateWindowMs: 300_000, maxAgeMs: 86_400_000 },
      subject: 'events.<ecosystem>.<tenant>.<type>',
    });
    await handOver(sink, [make.make()], options);
    const { config } = await site.withStreams((streams) => streams.info('EVENTS'));
    expect(config).toMatchObject({
      subjects: ['events.*.*.>'],
      storage: 'file',
      duplicate_window: 300_000_000_000,
      max_age: 86_400_000_000_000,
      allow_atomic: true,
      allow_batched: true,
      num_replicas: 1,
    });
  });

  test('odd names and a payload that is too large: each arrives or is rejected with its reason, none stops another', async () => {
    await using sink = site.sink({ subject: 'events.<ecosystem>.<tenant>.<type>.<key>' });
    const events = [
      make.make({ tenantId: 'a.b > *', eventType: 'type with spaces', entityKey: 'k'.repeat(500) }),
      make.make({ entityKey: 'large', payload: Buffer.alloc(5_000_000, '1') }),
      make.make({ entityKey: 'large' }),
      make.make({ entityKey: 'é'.repeat(2_000) }),
      make.make({ tenantId: 'last' }),
    ];
    const { rejected } = await handOver(sink, events, options);
    expect([...rejected]).toEqual([
      [
        events[1]!.event.eventId,
        expect.stringMatching(/^with its headers it has 5000\d{3} bytes, the server takes at most 1048576$/),
      ],
      [
        events[3]!.event.eventId,
        expect.stringMatching(/^its subject has 12\d{3} bytes, a server takes at most 3900$/),
      ],
    ]);
    const received = await site.received();
    expect(new Set(received.map(({ subject }) => subject))).toEqual(
      new Set([
        `events.~.a%2Eb%20%3E%20%2A.type%20with%20spaces.${'k'.repeat(500)}`,
        'events.~.acme.thing.done.large',
        'events.~.last.thing.done.~',
      ]),
    );
    checkReceived(received, { events: [events[0]!, events[2]!, events[4]!], features: sink.features });
  });

  test('a message above the limit of the stream is rejected, by what we know and by what the server says', async () => {
    const config = { name: 'EVENTS', subjects: ['events.>'], max_msg_size: 2_000 };
    await site.withStreams((streams) => streams.add(config));
    await using sink = site.sink();
    const [small, large] = [make.make(), make.make({ payload: Buffer.alloc(1_900, '1') })];
    const first = await handOver(sink, [large, small], options);
    expect([...first.rejected.values()]).toEqual([expect.stringMatching(/the stream takes at most 2000$/)]);
    // Made smaller behind our back: the connection that is there does not know.
    await site.withStreams((streams) => streams.update('EVENTS', { max_msg_size: 500 }));
    const [next, other] = [make.make({ payload: Buffer.alloc(600, '1') }), make.make()];
    const second = await sink.deliver(batchOf([next, other]), { signal });
    expect(second[0]).toMatchObject({ type: 'rejected', reason: expect.stringContaining('10054') });
    expect(second[1]?.type).toMatch(/delivered|rejected/);
  });

  test.each<[what: string, config: Partial<StreamConfig> | undefined, detail: RegExp]>([
    ['is missing, and not to be made', undefined, /EVENTS is not there, and is not to be made/],
    [
      'does not take the subjects',
      { subjects: ['other.>'] },
      /its subjects \(other\.>\) do not take in events\.\*\.>/,
    ],
    ['acknowledges nothing', { subjects: ['events.>'], no_ack: true }, /no_ack/],
  ])(
    'a stream that %s: ER4015, and it goes on by itself once that is mended',
    async (_what, config, detail) => {
      if (config !== undefined)
        await site.withStreams((streams) => streams.add({ name: 'EVENTS', ...config }));
      await using sink = site.sink({ stream: { name: 'EVENTS', create: false } });
      const events = make.many(3, { entities: 1 });
      await expect(sink.deliver(batchOf(events), { signal })).rejects.toMatchObject({
        code: 'ER4015',
        message: expect.stringMatching(detail),
      });
      await site.withStreams(async (streams) => {
        if (config !== undefined) await streams.delete('EVENTS');
        await streams.add({ name: 'EVENTS', subjects: ['events.>'] });
      });
      await handOver(sink, events, options);
      checkReceived(await site.received(), { events, features: sink.features });
    },
  );

  const loose = { storage: 'memory', duplicate_window: 1_000_000_000, max_msgs: 1_000_000 } as const;
  test.each<[config: Partial<StreamConfig>, said: readonly string[]]>([
    [{ ...loose, allow_atomic: true }, ['storage memory', 'duplicate_window 1000 ms', 'discard old']],
    [{ retention: 'interest', allow_atomic: true }, ['retention interest']],
    [{ retention: 'workqueue', max_msgs: 10, allow_atomic: true }, ['discard old', 'retention workqueue']],
    [{ allow_batched: true }, []],
    [{}, ['allow_atomic false']],
  ])('by which properties of the stream events may be lost or slow is said: %j', async (config, said) => {
    await site.withStreams((streams) => streams.add({ name: 'EVENTS', subjects: ['events.>'], ...config }));
    const concerns: StreamConcern[] = [];
    const onConcern = (concern: StreamConcern): void => void concerns.push(concern);
    for (const replicas of [1, 3]) {
      await using sink = site.sink({ onConcern, stream: { name: 'EVENTS', replicas } });
      const few = replicas === 1 ? [] : ['num_replicas 1'];
      await handOver(sink, [make.make()], options);
      const found = concerns.splice(0).map((one) => `${one.property} ${one.found}`);
      expect(found.toSorted()).toEqual([...said, ...few].toSorted());
    }
  });

  test('a full stream that takes no more: what is refused waits, and comes in order once there is room', async () => {
    const config = { name: 'EVENTS', subjects: ['events.>'], max_msgs: 10, discard: 'new' as const };
    await site.withStreams((streams) => streams.add(config));
    await using sink = site.sink();
    const events = make.many(30, { entities: 3 });
    const results = await sink.deliver(batchOf(events), { signal });
    expect(results.filter(({ type }) => type === 'delivered')).toHaveLength(10);
    expect(results.find(({ type }) => type === 'retry')).toMatchObject({ error: { code: 'ER4016' } });
    await site.withStreams((streams) => streams.update('EVENTS', { max_msgs: 100 }));
    await handOver(sink, events, options);
    checkReceived(await site.received(), { events, features: sink.features });
  });

  test('killed right after it has stored a batch, and started again: nothing is there twice', async () => {
    await using sink = site.sink();
    const events = make.many(300, { entities: 20 });
    await handOver(sink, events, options);
    await site.server.kill();
    await site.server.resume();
    // As a relay that was killed before its checkpoint.
    await using next = site.sink();
    await handOver(next, events, { signal, batch: 77 });
    const received = await site.received();
    expect(received).toHaveLength(300);
    checkReceived(received, { events, features: sink.features });
  });

  test('behind one address, the server comes back at another port', async () => {
    await using proxy = await FaultProxy.start({ target: new URL(site.server.url) });
    await using sink = site.sink({ servers: [`nats://127.0.0.1:${proxy.port}`] });
    const events = make.many(200, { entities: 5 });
    await handOver(sink, events.slice(0, 100), options);
    await using other = await NatsServer.start({ program: program! });
    proxy.retarget(new URL(other.url));
    await site.server.kill();
    await handOver(sink, events.slice(100), options);
    const received = await readNatsStream([other.url], 'EVENTS');
    expect(received).toHaveLength(100);
    checkReceived(received, { events: events.slice(100), features: sink.features });
  });

  test('a server that does not answer is left after a moment, and what it may have is not there twice', async () => {
    await using proxy = await FaultProxy.start({ target: new URL(site.server.url) });
    await using sink = site.sink({ servers: [`nats://127.0.0.1:${proxy.port}`], ackMs: 300 });
    const events = make.many(400, { entities: 7 });
    await handOver(sink, events.slice(0, 100), options);
    proxy.swallow({ direction: 'toClient' });
    const results = await sink.deliver(batchOf(events.slice(100, 200)), { signal });
    expect(results[0]).toMatchObject({ type: 'retry', error: { code: 'ER4016' } });
    await proxy.heal();
    await handOver(sink, events.slice(100), options);
    checkReceived(await site.received(), { events, features: sink.features });
  });
});

describe.skipIf(program === undefined)('beside other clients [needs nats-server]', () => {
  test.each(['{}', 'OK'])(
    'one that answers %j to what no stream takes: it does not count as delivered, and holds nothing else up',
    async (reply) => {
      await using site = await NatsSite.create(program!);
      await using sink = site.sink({ ackMs: 300 });
      const make = new ConformanceEvents();
      await handOver(sink, [make.make()], options);
      const other = await connect({ servers: site.server.url });
      other.subscribe('elsewhere.>', { callback: (_error, message) => void message.respond(reply) });
      await other.flush();
      const events = [{ ...make.make(), subject: 'elsewhere.<tenant>' }, make.make()];
      const results = await sink.deliver({ ...batchOf([]), events }, { signal });
      expect(results).toMatchObject([{ type: 'retry', error: { code: 'ER4016' } }, { type: 'delivered' }]);
      await other.close();
    },
  );
});
