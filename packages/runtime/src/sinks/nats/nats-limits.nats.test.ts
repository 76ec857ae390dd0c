import { FaultProxy } from '@event-runtime/simulators';
import { afterEach, beforeEach, describe, expect, inject, test, vi } from 'vitest';
import { NatsServer } from '../../testing/nats-server.ts';
import { readNatsStream } from '../../testing/read-nats-stream.ts';
import { batchOf, ConformanceEvents } from '../../testing/sink-conformance/conformance-events.ts';
import { handOver } from '../../testing/sink-conformance/handover.ts';
import { NatsSite } from './nats-site.suite.ts';

const program = inject('natsServer');
const { signal } = new AbortController();
const options = { signal, batch: 100 };
/** Longer than any limit holds. */
const longMs = 60_000;

describe.skipIf(program === undefined)('a limit of the server [needs nats-server]', () => {
  let site: NatsSite;
  let proxy: FaultProxy;
  let passed = 0;
  beforeEach(async () => {
    passed = 0;
    const real = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => real() + passed);
    site = await NatsSite.create(program!);
    proxy = await FaultProxy.start({ target: new URL(site.server.url) });
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await proxy?.[Symbol.asyncDispose]();
    await site?.[Symbol.asyncDispose]();
  });

  const make = new ConformanceEvents();
  const small = (entityKey: string) => make.make({ entityKey });
  const large = (entityKey: string) => make.make({ entityKey, payload: Buffer.alloc(2_000_000, '1') });

  test('is asked for beside the connection that is there: that stays, and nothing but the entity waits', async () => {
    await using sink = site.sink({ servers: [`nats://127.0.0.1:${proxy.port}`] });
    await handOver(sink, [small('a')], options);
    passed += longMs;
    // A second connection cannot be had.
    proxy.refuse();
    const waiting = [large('big'), small('big')];
    const first = await sink.deliver(batchOf([...waiting, small('a')]), { signal });
    expect(first.map(({ type }) => type)).toEqual(['retry', 'retry', 'delivered']);
    let told = '';
    while (!told.includes('ER4014')) {
      const [result, behind, other] = await sink.deliver(batchOf([...waiting, small('a')]), { signal });
      expect([behind?.type, other?.type]).toEqual(['retry', 'delivered']);
      if (result?.type === 'retry') told = result.error.message;
      passed += 1_000;
    }
    expect(told).toMatch(/ER4016 .*at most 1048576.*no answer/);
    await proxy.accept();
    const { rejected, failures } = await handOver(sink, waiting, options);
    expect([failures, [...rejected.keys()]]).toEqual([0, [waiting[0]!.event.eventId]]);
    // The one that is there, and one question.
    expect(proxy.connected).toBe(2);
    await handOver(sink, [large('big')], options);
    expect(proxy.connected).toBe(2);
  });

  test('a message that waited for it is given up however much later it comes again', async () => {
    await using sink = site.sink({ servers: [`nats://127.0.0.1:${proxy.port}`] });
    await handOver(sink, [small('a')], options);
    passed += longMs;
    const waiting = [large('big'), small('big')];
    const [first] = await sink.deliver(batchOf(waiting), { signal });
    expect(first?.type).toBe('retry');
    // So long the question takes at most.
    await vi.waitFor(() => expect(proxy.connected).toBe(2), 10_000);
    await handOver(sink, [small('b')], options);
    passed += longMs;
    const results = await sink.deliver(batchOf(waiting), { signal });
    expect(results.map(({ type }) => type)).toEqual(['rejected', 'delivered']);
  });

  test('that was raised is gone by over another connection', async () => {
    const configuration = 'max_payload: 4194304';
    await using other = await NatsServer.start({ program: program!, configuration });
    await using sink = site.sink({ servers: [`nats://127.0.0.1:${proxy.port}`] });
    await handOver(sink, [small('a')], options);
    passed += longMs;
    proxy.retarget(new URL(other.url));
    const events = [large('big'), small('big')];
    const { rejected, failures } = await handOver(sink, events, options);
    expect([rejected.size, failures]).toEqual([0, 0]);
    const sizes = (await readNatsStream([other.url], 'EVENTS')).map(({ data }) => data.length);
    expect(sizes).toEqual(events.map(({ event }) => event.payload.length));
  });
});
