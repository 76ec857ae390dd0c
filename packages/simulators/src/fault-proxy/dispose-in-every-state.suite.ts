// A process of its own, so that whatever the proxy leaves behind is seen: it would not end, or it is listed.
import { setTimeout as sleep } from 'node:timers/promises';
import { FaultProxy } from './fault-proxy.ts';
import { standstill, TcpPeer, TcpTarget } from './tcp-peer.suite.ts';

const message = (error: unknown): string => (error as Error).message.replace(/ 127.*/, '');
const failure = async (promise: Promise<unknown>): Promise<string> =>
  await promise.then(() => 'did not fail', message);

/** A chunk that is due in an hour: its timer must not outlive the proxy. */
async function disposedWithTimer(): Promise<void> {
  await using target = await TcpTarget.start();
  await using proxy = await FaultProxy.start({ target: { host: '127.0.0.1', port: target.port } });
  proxy.delay(3_600_000);
  const peer = await TcpPeer.connect(proxy.port);
  peer.socket.write('late');
  await proxy.until(() => proxy.bytes('toTarget').read === 4);
}

async function disposed(): Promise<object> {
  await using target = await TcpTarget.start();
  await using silent = await TcpTarget.start(({ socket }) => socket.pause());
  const proxy = await FaultProxy.start({ target: { host: '127.0.0.1', port: target.port } });
  const client = async (): Promise<TcpPeer> => {
    const next = proxy.nextConnection();
    const peer = await TcpPeer.connect(proxy.port);
    await next;
    return peer;
  };
  const delayed = await client();
  const halfClosed = await client();
  halfClosed.socket.end();
  await (await target.peer(1)).ended();
  proxy.retarget({ host: '127.0.0.1', port: silent.port });
  // Its FIN waits behind bytes that the target does not take.
  const full = await client();
  full.socket.end(Buffer.alloc(32 * 1024 * 1024));
  await standstill(() => proxy.bytes('toTarget').read);
  proxy.delay(3_600_000);
  delayed.socket.write('held by a delay');
  const { read } = proxy.bytes('toTarget');
  await proxy.until(() => proxy.bytes('toTarget').read > read);
  proxy.swallow({ direction: 'toClient' });
  proxy.stall({ direction: 'toTarget' });
  const stalled = await client();
  stalled.socket.write('not read');
  const waiting = [proxy.nextConnection(), proxy.until(() => false)];
  await proxy[Symbol.asyncDispose]();
  const { connections } = proxy;
  const clients = await Promise.all([delayed, halfClosed, stalled].map((peer) => peer.closed()));
  await full.closed();
  await proxy[Symbol.asyncDispose]();
  return {
    connections,
    clients,
    waiting: await Promise.all(waiting.map(failure)),
    late: [await failure(proxy.accept()), await failure(TcpPeer.connect(proxy.port))],
  };
}

await disposedWithTimer();
const seen = await disposed();
// Closed handles leave the list when the loop has turned.
await sleep(1);
const held = process.getActiveResourcesInfo().filter((name) => /^(TCP|Timeout)/.test(name));
process.stdout.write(JSON.stringify({ held, ...seen }));
