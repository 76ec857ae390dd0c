import { FaultProxy } from '@event-runtime/simulators';
import { describe, expect, inject, test } from 'vitest';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import { NatsCluster } from '../../testing/nats-cluster.ts';
import { readWholeNatsStream } from '../../testing/read-nats-stream.ts';
import { checkReceived } from '../../testing/sink-conformance/checks.ts';
import { batchOf, ConformanceEvents } from '../../testing/sink-conformance/conformance-events.ts';
import { handOver } from '../../testing/sink-conformance/handover.ts';
import { NatsSink } from './nats-sink.ts';

const program = inject('natsServer');
const { signal } = new AbortController();

/** A way from one server of a cluster to another. */
interface Link {
  readonly from: number;
  readonly to: number;
  readonly proxy: FaultProxy;
}

async function startCluster(links: Link[]): Promise<NatsCluster> {
  return await NatsCluster.start({
    program: program!,
    async route({ from, to, port }) {
      const proxy = await FaultProxy.start({ target: { host: '127.0.0.1', port } });
      links.push({ from, to, proxy });
      return proxy.port;
    },
  });
}

function sinkTo(servers: readonly string[], retryAfterMs = 50): NatsSink {
  const stream = { name: 'EVENTS', replicas: 3 };
  return new NatsSink({ name: 'nats', servers, stream, retryAfterMs, ackMs: 2_000 });
}

/** Whether all of it is stored within half a second; otherwise it is let go. */
async function isTaken(sink: NatsSink, events: readonly LoggedEvent[]): Promise<boolean> {
  const letGo = AbortSignal.timeout(500);
  try {
    const results = await sink.deliver(batchOf(events), { signal: letGo });
    return results.every(({ type }) => type === 'delivered');
  } catch {
    return false;
  }
}

describe.skipIf(program === undefined)(
  'a leader that is cut off, and that clients still reach [needs nats-server]',
  () => {
    test.each(['the same sink, its deliver aborted', 'a sink of a relay that was started again'])(
      'what it has proposed and cannot store is not delivered when it comes again: %s',
      async (who) => {
        const links: Link[] = [];
        await using cluster = await startCluster(links);
        await using proxies = new AsyncDisposableStack();
        for (const { proxy } of links) proxies.use(proxy);
        const make = new ConformanceEvents();
        const before = make.many(3, { entities: 3, name: 'before' });
        await using maker = sinkTo(cluster.urls);
        await handOver(maker, before, { signal, batch: 3 });
        const leader = await cluster.leaderOf('EVENTS');
        const reached = [cluster.servers[leader]!.url];
        await using first = sinkTo(reached);
        const warm = make.many(1, { entities: 1, name: 'warm' });
        await handOver(first, warm, { signal, batch: 1 });
        for (const { from, to, proxy } of links) {
          if (from !== leader && to !== leader) continue;
          proxy.refuse();
          proxy.cut();
        }
        // As many as all go in batches. What was under way when the ways were cut may still be stored.
        const stored = [...before, ...warm];
        let events = make.many(600, { entities: 50, name: 'round 0' });
        for (let round = 1; await isTaken(first, events); round += 1) {
          stored.push(...events);
          expect(round).toBeLessThan(20);
          events = make.many(600, { entities: 50, name: `round ${round}` });
        }
        await using again = sinkTo(reached);
        const sink = who.startsWith('the same') ? first : again;
        const results = await sink.deliver(batchOf(events), { signal }).catch((error: unknown) => {
          // It has stepped down already.
          expect(error).toMatchObject({ code: expect.stringMatching(/^ER40/) });
          return [];
        });
        expect(results.filter(({ type }) => type === 'delivered')).toEqual([]);
        for (const { proxy } of links) await proxy.accept();
        await using last = sinkTo(cluster.urls);
        await handOver(last, events, { signal, batch: 600 });
        const received = await readWholeNatsStream(cluster.urls, {
          stream: 'EVENTS',
          messages: stored.length + events.length,
        });
        checkReceived(received, { events: [...before, ...warm, ...events], features: NatsSink.features });
        expect(received).toHaveLength(before.length + warm.length + events.length);
      },
    );
  },
);
