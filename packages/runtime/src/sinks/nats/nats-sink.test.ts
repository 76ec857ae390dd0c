import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { batchOf, ConformanceEvents } from '../../testing/sink-conformance/conformance-events.ts';
import { NatsSink } from './nats-sink.ts';

const never = (): void => undefined;
const { signal } = new AbortController();

test('disposed while it waits for its secrets: what was handed over fails at once', async () => {
  const sink = new NatsSink({
    name: 'nats',
    servers: ['nats://127.0.0.1:1'],
    stream: { name: 'EVENTS' },
    access: async () => await new Promise<never>(never),
  });
  const delivering = sink.deliver(batchOf([new ConformanceEvents().make()]), { signal });
  delivering.catch(() => undefined);
  await sink[Symbol.asyncDispose]();
  await expect(delivering).rejects.toThrow('sink nats is disposed');
  const next = sink.deliver(batchOf([new ConformanceEvents().make()]), { signal });
  await expect(next).rejects.toThrow('sink nats is disposed');
});

test('disposed while a server that says nothing is waited for: it does not wait', async () => {
  let accepted: () => void = () => undefined;
  const waiting = new Promise<void>((resolve) => {
    accepted = resolve;
  });
  const mute = createServer((socket) => {
    socket.on('error', () => undefined).resume();
    accepted();
  });
  await new Promise<void>((resolve) => {
    mute.listen(0, '127.0.0.1', resolve);
  });
  const servers = [`nats://127.0.0.1:${(mute.address() as { port: number }).port}`];
  const sink = new NatsSink({ name: 'nats', servers, stream: { name: 'EVENTS' }, connectMs: 3_600_000 });
  const delivering = sink.deliver(batchOf([new ConformanceEvents().make()]), { signal });
  delivering.catch(() => undefined);
  await waiting;
  // It does not wait for the connection, which has an hour.
  await sink[Symbol.asyncDispose]();
  await expect(delivering).rejects.toThrow('disposed');
  mute.close();
});
