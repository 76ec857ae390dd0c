import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Direction, FaultProxy } from './fault-proxy.ts';
import { targetOf } from './proxy-target.ts';
import { standstill, TcpPeer, TcpTarget } from './tcp-peer.suite.ts';

const megabyte = 1024 * 1024;
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(async () => {
  await stack.disposeAsync();
});

async function proxyTo(target: TcpTarget, options: Partial<Parameters<typeof FaultProxy.start>[0]> = {}) {
  return stack.use(await FaultProxy.start({ target: { host: '127.0.0.1', port: target.port }, ...options }));
}

async function client(proxy: FaultProxy): Promise<TcpPeer> {
  const peer = await TcpPeer.connect(proxy.port);
  stack.defer(() => {
    peer.socket.destroy();
  });
  return peer;
}

/** A client, and the target's end of its connection. */
async function pair(proxy: FaultProxy, target: TcpTarget): Promise<{ near: TcpPeer; far: TcpPeer }> {
  const number = target.peers.length;
  const next = proxy.nextConnection();
  const near = await client(proxy);
  await next;
  return { near, far: await target.peer(number) };
}

/** The sender and the receiver of a direction. */
function ends(direction: Direction, { near, far }: { near: TcpPeer; far: TcpPeer }): [TcpPeer, TcpPeer] {
  return direction === 'toTarget' ? [near, far] : [far, near];
}

describe('without a fault', () => {
  test('megabytes come back unchanged, past a reader that pauses, and the FIN after them', async () => {
    const target = stack.use(await TcpTarget.echo());
    const proxy = await proxyTo(target, { maxBufferedBytes: 20_000 });
    const peer = await client(proxy);
    const sent = randomBytes(8 * megabyte);
    peer.socket.pause();
    peer.socket.end(sent);
    await proxy.passed(megabyte, { direction: 'toTarget' });
    peer.socket.resume();
    await peer.ended();
    expect(sha256(peer.received)).toBe(sha256(sent));
    expect(await peer.closed()).toBeUndefined();
    await proxy.until(() => proxy.connections === 0);
    const all = { read: sent.length, passed: sent.length, swallowed: 0 };
    expect([proxy.bytes('toTarget'), proxy.bytes('toClient')]).toEqual([all, all]);
  });

  test.each(['toTarget', 'toClient'] as const)('half-closed %s, the other way stays open', async (way) => {
    const target = stack.use(await TcpTarget.start());
    const proxy = await proxyTo(target);
    const [sender, receiver] = ends(way, await pair(proxy, target));
    sender.socket.end('last words');
    await receiver.ended();
    expect(receiver.received.toString()).toBe('last words');
    receiver.socket.write('and the answer');
    expect((await sender.bytes(14)).toString()).toBe('and the answer');
    expect([sender.hasEnded, proxy.connections]).toEqual([false, 1]);
    receiver.socket.end();
    expect([await sender.closed(), await receiver.closed()]).toEqual([undefined, undefined]);
    await proxy.until(() => proxy.connections === 0);
  });

  test.each(['toTarget', 'toClient'] as const)('a RST %s is passed on as one', async (way) => {
    const target = stack.use(await TcpTarget.start());
    const proxy = await proxyTo(target);
    const [sender, receiver] = ends(way, await pair(proxy, target));
    sender.socket.resetAndDestroy();
    expect(await receiver.closed()).toBe('ECONNRESET');
    await proxy.until(() => proxy.connections === 0);
  });

  test('a receiver that does not read stops the sender: the proxy keeps little', async () => {
    const target = stack.use(await TcpTarget.start(({ socket }) => socket.pause()));
    const proxy = await proxyTo(target, { maxBufferedBytes: 100_000 });
    const { near, far } = await pair(proxy, target);
    const sent = randomBytes(32 * megabyte);
    near.socket.end(sent);
    await standstill(() => proxy.bytes('toTarget').read);
    const { read, passed } = proxy.bytes('toTarget');
    expect(read).toBeLessThan(sent.length);
    // Counted when the kernel has it: what is between is the queue, one write under way, and one chunk read too many.
    expect(read - passed).toBeLessThan(100_000 + 3 * 65_536);
    far.socket.resume();
    await far.ended();
    expect(sha256(far.received)).toBe(sha256(sent));
  });
});

describe('cut, refuse, retarget', () => {
  test('a cut resets every live connection on both sides, and takes new ones', async () => {
    const target = stack.use(await TcpTarget.start());
    const proxy = await proxyTo(target);
    const pairs = [await pair(proxy, target), await pair(proxy, target)];
    expect(proxy.connections).toBe(2);
    proxy.cut();
    for (const { near, far } of pairs) {
      expect([await near.closed(), await far.closed()]).toEqual(['ECONNRESET', 'ECONNRESET']);
    }
    await proxy.until(() => proxy.connections === 0);
    const again = await pair(proxy, target);
    again.near.socket.write('hello');
    expect((await again.far.bytes(5)).toString()).toBe('hello');
  });

  test('a cut ends a connection whose FIN waits in the proxy behind a full receiver', async () => {
    const target = stack.use(await TcpTarget.start(({ socket }) => socket.pause()));
    const proxy = await proxyTo(target, { maxBufferedBytes: 64 * megabyte });
    const { near } = await pair(proxy, target);
    near.socket.end(Buffer.alloc(32 * megabyte));
    await proxy.until(() => proxy.bytes('toTarget').read === 32 * megabyte);
    await nextTurn();
    proxy.cut();
    await proxy.until(() => proxy.connections === 0);
    expect(await near.closed()).toBe('ECONNRESET');
  });

  test('refused: ECONNREFUSED for new ones, the live go on; accepted again at the same port', async () => {
    const target = stack.use(await TcpTarget.echo());
    const proxy = await proxyTo(target);
    const live = await client(proxy);
    await proxy.until(() => proxy.connected === 1);
    proxy.refuse();
    await expect(TcpPeer.connect(proxy.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    live.socket.write('still here');
    expect((await live.bytes(10)).toString()).toBe('still here');
    const undone = proxy.accept();
    proxy.refuse();
    await undone.catch(() => undefined);
    await expect(TcpPeer.connect(proxy.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await Promise.all([proxy.accept(), proxy.accept()]);
    const next = proxy.nextConnection();
    const fresh = await client(proxy);
    await next;
    fresh.socket.write('back');
    expect((await fresh.bytes(4)).toString()).toBe('back');
    proxy.refuse();
    await proxy.heal();
    await client(proxy);
  });

  test('new connections go to the new target, live ones stay with theirs', async () => {
    const [first, second] = [stack.use(await TcpTarget.start()), stack.use(await TcpTarget.start())];
    const proxy = await proxyTo(first);
    const old = await pair(proxy, first);
    proxy.retarget(new URL(`nats://127.0.0.1:${second.port}`));
    const moved = await pair(proxy, second);
    old.near.socket.write('old');
    moved.near.socket.write('moved');
    expect((await old.far.bytes(3)).toString()).toBe('old');
    expect((await moved.far.bytes(5)).toString()).toBe('moved');
    expect(first.peers).toHaveLength(1);
  });

  test('a target that refuses is a RST for the client', async () => {
    const gone = await TcpTarget.start();
    const proxy = await proxyTo(gone);
    await gone[Symbol.asyncDispose]();
    const peer = await client(proxy);
    expect(await peer.closed()).toBe('ECONNRESET');
    expect(proxy.connected).toBe(0);
    await proxy.until(() => proxy.connections === 0);
  });
});

describe.each(['toTarget', 'toClient'] as const)('%s', (direction) => {
  const other = direction === 'toTarget' ? 'toClient' : 'toTarget';

  test('delayed: late by that much, in order and unchanged also with jitter, FIN last; the other way is not', async () => {
    const target = stack.use(await TcpTarget.start());
    const draws = [0.9, 0, 0.5, 0.1];
    const proxy = await proxyTo(target, {
      maxBufferedBytes: 300_000,
      random: () => {
        const draw = draws.shift() ?? 0;
        draws.push(draw);
        return draw;
      },
    });
    const [sender, receiver] = ends(direction, await pair(proxy, target));
    proxy.delay(60, { direction, jitterMs: 40 });
    const began = performance.now();
    const sent = randomBytes(2 * megabyte);
    sender.socket.end(sent);
    receiver.socket.write('at once');
    await sender.bytes(7);
    expect(receiver.length).toBe(0);
    await receiver.bytes(1);
    // The sender's clock began before the proxy's, so that it is late by the whole delay and the first draw.
    expect(performance.now() - began).toBeGreaterThanOrEqual(60 + 36);
    await receiver.ended();
    expect(sha256(receiver.received)).toBe(sha256(sent));
  });

  test('healed, what a delay held back comes at once', async () => {
    const target = stack.use(await TcpTarget.start());
    const proxy = await proxyTo(target);
    const [sender, receiver] = ends(direction, await pair(proxy, target));
    proxy.delay(3_600_000, { direction });
    sender.socket.write('late');
    await proxy.until(() => proxy.bytes(direction).read === 4);
    await proxy.heal();
    expect((await receiver.bytes(4)).toString()).toBe('late');
  });

  test('stalled: the sender is stopped, the other way goes on; healed, nothing is lost', async () => {
    const target = stack.use(await TcpTarget.start());
    const proxy = await proxyTo(target, { maxBufferedBytes: 100_000 });
    const [sender, receiver] = ends(direction, await pair(proxy, target));
    sender.socket.write('before ');
    await receiver.bytes(7);
    proxy.stall({ direction });
    const sent = randomBytes(32 * megabyte);
    sender.socket.end(sent);
    receiver.socket.write('other way');
    await sender.bytes(9);
    await standstill(() => sender.socket.bytesWritten - sender.socket.writableLength);
    expect(sender.socket.writableLength).toBeGreaterThan(0);
    expect([receiver.length, receiver.hasEnded]).toEqual([7, false]);
    await proxy.heal();
    await receiver.ended();
    expect(sha256(receiver.received)).toBe(sha256(Buffer.concat([Buffer.from('before '), sent])));
  });

  test('swallowed: exactly what came meanwhile is lost, and neither FIN nor RST is passed on', async () => {
    const target = stack.use(await TcpTarget.start());
    const proxy = await proxyTo(target);
    const [sender, receiver] = ends(direction, await pair(proxy, target));
    sender.socket.write('one ');
    await receiver.bytes(4);
    proxy.delay(3_600_000, { direction });
    sender.socket.write('two ');
    await proxy.until(() => proxy.bytes(direction).read === 8);
    proxy.swallow({ direction });
    sender.socket.write(Buffer.alloc(3 * megabyte));
    await proxy.until(() => proxy.bytes(direction).swallowed === 3 * megabyte);
    receiver.socket.write('other way');
    await sender.bytes(9);
    expect(receiver.received.toString()).toBe('one ');
    await proxy.heal();
    sender.socket.write('three');
    expect((await receiver.bytes(13)).toString()).toBe('one two three');

    proxy.swallow();
    sender.socket.resetAndDestroy();
    const late = await pair(proxy, target);
    const [lateSender, lateReceiver] = ends(direction, late);
    lateSender.socket.end('gone');
    await proxy.until(() => proxy.bytes(direction).swallowed === 3 * megabyte + 4);
    await nextTurn();
    expect([receiver.isClosed, lateReceiver.hasEnded, lateReceiver.length]).toEqual([false, false, 0]);
    await proxy.heal();
    expect(await receiver.closed()).toBe('ECONNRESET');
    await lateReceiver.ended();
    expect(lateReceiver.length).toBe(0);
  });

  test.each([1, 7, 65_536, 100_001, megabyte])('cut after exactly %i bytes', async (count) => {
    const target = stack.use(await TcpTarget.start());
    const proxy = await proxyTo(target);
    const bystander = await pair(proxy, target);
    const [sender, receiver] = ends(direction, await pair(proxy, target));
    sender.socket.write('not counted');
    await receiver.bytes(11);
    proxy.dropAfter(count, { direction });
    const sent = randomBytes(2 * megabyte);
    sender.socket.end(sent);
    expect(await receiver.closed()).toBe('ECONNRESET');
    expect(receiver.length).toBe(11 + count);
    expect(receiver.received.subarray(11).equals(sent.subarray(0, count))).toBe(true);
    expect(proxy.bytes(direction).passed).toBe(11 + count);
    await sender.closed();
    bystander.near.socket.write('x'.repeat(200_000));
    bystander.far.socket.write('y'.repeat(200_000));
    await Promise.all([bystander.near.bytes(200_000), bystander.far.bytes(200_000)]);
  });

  test('the other way does not count for a cut, and heal calls it off', async () => {
    const target = stack.use(await TcpTarget.start());
    const proxy = await proxyTo(target);
    const [sender, receiver] = ends(direction, await pair(proxy, target));
    proxy.dropAfter(10, { direction });
    receiver.socket.write('x'.repeat(100_000));
    await sender.bytes(100_000);
    sender.socket.write('123456789');
    await receiver.bytes(9);
    await proxy.heal();
    sender.socket.write('0123456789');
    await receiver.bytes(19);
    expect(proxy.bytes(other).passed).toBe(100_000);
  });
});

describe('disposal', () => {
  test('ends connections in every state; no socket, server or timer holds the process', async () => {
    const script = fileURLToPath(new URL('dispose-in-every-state.suite.ts', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [script], { timeout: 120_000 });
    expect(JSON.parse(stdout)).toEqual({
      held: [],
      connections: 0,
      clients: ['ECONNRESET', 'ECONNRESET', 'ECONNRESET'],
      waiting: ['the proxy was disposed', 'the proxy was disposed'],
      late: ['the proxy is disposed', 'connect ECONNREFUSED'],
    });
  });

  test('a target that does not answer the handshake does not hold it up', async () => {
    // TEST-NET-1: routed nowhere, so that the connection stays under way or fails; either must end.
    const proxy = await FaultProxy.start({ target: { host: '192.0.2.1', port: 9 } });
    const peer = await client(proxy);
    await proxy.until(() => proxy.connections === 1 || peer.isClosed);
    await proxy[Symbol.asyncDispose]();
    await peer.closed();
    expect(proxy.connections).toBe(0);
  });
});

describe('waiting', () => {
  test('ends with the signal, with its reason', async () => {
    const target = stack.use(await TcpTarget.start());
    const proxy = await proxyTo(target);
    const stop = new AbortController();
    const waiting = proxy.passed(1, { direction: 'toTarget', signal: stop.signal });
    const reason = new Error('changed my mind');
    stop.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(proxy.nextConnection({ signal: stop.signal })).rejects.toBe(reason);
    await expect(FaultProxy.start({ target, signal: stop.signal } as never)).rejects.toBe(reason);
  });

  test('numbers that make no sense are refused', async () => {
    const target = stack.use(await TcpTarget.start());
    const proxy = await proxyTo(target);
    for (const bytes of [0, -1, 1.5, Number.NaN]) {
      expect(() => proxy.dropAfter(bytes, { direction: 'toTarget' })).toThrow(RangeError);
    }
    expect(() => proxy.delay(-1)).toThrow(RangeError);
    expect(() => proxy.delay(1, { jitterMs: Number.NaN })).toThrow(RangeError);
  });
});

test.each([
  [
    'postgres://u:p%40w@db.example:5432/app?sslmode=disable',
    'postgres://u:p%40w@127.0.0.1:1/app?sslmode=disable',
  ],
  ['postgres://localhost/app', 'postgres://127.0.0.1:1/app'],
  ['nats://token@[::1]:4222', 'nats://token@127.0.0.1:1'],
  ['http://localhost:8080/hook?x=1', 'http://127.0.0.1:1/hook?x=1'],
])('%s through the proxy', async (url, through) => {
  await using proxy = await FaultProxy.start({ target: { host: '127.0.0.1', port: 1 } });
  expect(proxy.url(url)).toBe(
    through.replace(':1', `:${proxy.port}`).replace('127.0.0.1:1/', `127.0.0.1:${proxy.port}/`),
  );
});

test.each(['postgres:///app?host=db', 'postgres://a/app?port=5433', 'db:5432', 'postgres:///app', ''])(
  '%j cannot be led through the proxy',
  async (url) => {
    await using proxy = await FaultProxy.start({ target: { host: '127.0.0.1', port: 1 } });
    expect(() => proxy.url(url)).toThrow(TypeError);
  },
);

test('a URL as target must name host and port', () => {
  expect(targetOf(new URL('nats://[::1]:4222'))).toEqual({ host: '::1', port: 4222 });
  expect(() => targetOf(new URL('postgres://localhost/app'))).toThrow(TypeError);
  expect(() => targetOf(new URL('postgres:///app'))).toThrow(TypeError);
});
