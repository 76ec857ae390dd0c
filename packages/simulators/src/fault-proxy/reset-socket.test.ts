import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { resetSocket } from './reset-socket.ts';
import { TcpPeer, TcpTarget } from './tcp-peer.suite.ts';

test('an open connection ends with RST, and again is no error', async () => {
  await using target = await TcpTarget.start();
  const { socket } = await TcpPeer.connect(target.port);
  const peer = await target.peer(0);
  const closed = once(socket, 'close');
  resetSocket(socket);
  resetSocket(socket);
  await closed;
  expect(await peer.closed()).toBe('ECONNRESET');
});

test('a connection whose FIN is asked for and not yet sent is closed', async () => {
  await using target = await TcpTarget.start();
  const { socket } = await TcpPeer.connect(target.port);
  const peer = await target.peer(0);
  const closed = once(socket, 'close');
  socket.end();
  expect([socket.writableEnded, socket.writableFinished]).toEqual([true, false]);
  resetSocket(socket);
  await closed;
  await peer.ended();
});

test('a connection that is still under way is given up', async () => {
  await using target = await TcpTarget.start();
  const socket = connect({ port: target.port, host: '127.0.0.1' });
  const closed = once(socket, 'close');
  resetSocket(socket);
  await closed;
  expect(socket.destroyed).toBe(true);
});
