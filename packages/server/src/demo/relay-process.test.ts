import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RelayProcess } from './relay-process.ts';

/** A child connects here when it runs, and its connection closes when it is gone. */
let server: Server;
let port: number;

beforeEach(async () => {
  server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as { port: number }).port;
});
afterEach(() => server.close());

const connects = `const socket = require('node:net').connect(Number(process.env.PORT), '127.0.0.1');
  socket.on('error', () => {});`;

function relay(script: string, onFailure: (error: Error) => void = () => undefined): RelayProcess {
  return new RelayProcess({
    args: ['-e', `${connects}\n${script}`],
    env: { PORT: String(port) },
    onFailure,
    restartDelayMs: 5,
    maxUnaskedExits: 3,
    stopTimeoutMs: 300,
  });
}

async function connection(): Promise<Socket> {
  const [socket] = (await once(server, 'connection')) as [Socket];
  socket.on('error', () => undefined).resume();
  return socket;
}

test('a kill ends it at once, it says whether there was something to kill, and it can be started again', async () => {
  await using child = relay(`process.on('SIGTERM', () => {});`);
  for (let round = 0; round < 2; round += 1) {
    const connected = connection();
    await child.start();
    const closed = once(await connected, 'close');
    expect(await child.kill()).toBe(true);
    await closed;
    expect(await child.kill()).toBe(false);
  }
});

test('a stop lets it finish', async () => {
  await using child = relay(`process.on('SIGTERM', () => socket.end('finished', () => process.exit(0)));`);
  const connected = connection();
  await child.start();
  const socket = await connected;
  const said = once(socket, 'data');
  await child.stop();
  expect(String((await said)[0])).toBe('finished');
});

test('one that does not stop is killed after a time', async () => {
  await using child = relay(`process.on('SIGTERM', () => {}); socket.write('ready');`);
  const connected = connection();
  await child.start();
  const socket = await connected;
  const closed = once(socket, 'close');
  await child.stop();
  await closed;
  expect(child.pid).toBeUndefined();
});

test('one that ends by itself is started again; one that keeps doing so is a failure with its output', async () => {
  const failure = Promise.withResolvers<Error>();
  let starts = 0;
  server.on('connection', (socket: Socket) => {
    starts += 1;
    socket.on('error', () => undefined).resume();
  });
  await using child = relay(
    `socket.on('connect', () => { console.error('no slot today'); socket.end(() => process.exit(7)); });`,
    failure.resolve,
  );
  await child.start();
  const error = await failure.promise;
  expect(error).toMatchObject({ code: 'ER5004' });
  expect(error.message).toContain('exit code 7');
  expect(error.message).toContain('no slot today');
  expect(starts).toBe(3);
});
