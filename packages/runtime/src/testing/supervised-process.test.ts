import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SupervisedProcess, type SupervisedProcessOptions, type UnaskedEnd } from './supervised-process.ts';

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

function supervised(script: string, options: Partial<SupervisedProcessOptions> = {}): SupervisedProcess {
  return new SupervisedProcess({
    args: ['-e', `${connects}\n${script}`],
    env: { PORT: String(port) },
    onFailure: () => undefined,
    restartDelayMs: 5,
    maxUnaskedExits: 3,
    ...options,
  });
}

async function connection(): Promise<Socket> {
  const [socket] = (await once(server, 'connection')) as [Socket];
  socket.on('error', () => undefined).resume();
  return socket;
}

test('a kill ends it at once, it says whether there was something to kill, and it can be started again', async () => {
  await using child = supervised(`process.on('SIGTERM', () => {});`);
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
  await using child = supervised(
    `process.on('SIGTERM', () => socket.end('finished', () => process.exit(0)));`,
  );
  const connected = connection();
  await child.start();
  const socket = await connected;
  const said = once(socket, 'data');
  await child.stop();
  expect(String((await said)[0])).toBe('finished');
});

test('one that does not stop is killed after a time', async () => {
  const script = `process.on('SIGTERM', () => {}); socket.write('ready');`;
  await using child = supervised(script, { stopTimeoutMs: 300 });
  const connected = connection();
  await child.start();
  const socket = await connected;
  const closed = once(socket, 'close');
  await child.stop();
  await closed;
  expect(child.running).toBe(false);
});

test('one that ends by itself is started again; one that keeps doing so is a failure with its output', async () => {
  const failure = Promise.withResolvers<UnaskedEnd>();
  let starts = 0;
  server.on('connection', (socket: Socket) => {
    starts += 1;
    socket.on('error', () => undefined).resume();
  });
  await using child = supervised(
    `socket.on('connect', () => { console.error('no slot today'); socket.end(() => process.exit(7)); });`,
    { onFailure: failure.resolve },
  );
  await child.start();
  const { how, log } = await failure.promise;
  expect(how).toContain('exit code 7');
  expect(log).toContain('no slot today');
  expect(starts).toBe(3);
  expect(child.unaskedExits).toBe(3);
});

test('one that kills itself where that is asked of it is not started again, and not counted', async () => {
  await using child = supervised(`process.kill(process.pid, 'SIGKILL');`, { killsItself: true });
  await child.start();
  await child.ended(AbortSignal.timeout(60_000));
  expect(child.running).toBe(false);
  expect(await child.kill()).toBe(false);
  expect(child.unaskedExits).toBe(0);
});

test('it is ready when it says so; one that ends before is an error with its output', async () => {
  const signal = AbortSignal.timeout(60_000);
  await using child = supervised(`console.log('here I am');`, { readyText: 'here I am' });
  await child.startReady(signal);
  expect(child.running).toBe(true);
  await using ended = supervised(`console.error('no slot today'); process.exit(7);`, {
    readyText: 'here I am',
  });
  await expect(ended.startReady(signal)).rejects.toThrow('no slot today');
});

test('stopped where it is, it does nothing until it may go on', async () => {
  await using child = supervised(`socket.on('data', (chunk) => socket.write(chunk));`);
  expect(child.freeze()).toBe(false);
  const connected = connection();
  await child.start();
  const socket = await connected;
  const echoes: string[] = [];
  socket.on('data', (chunk: Buffer) => echoes.push(chunk.toString()));
  socket.write('a');
  await once(socket, 'data');
  expect(child.freeze()).toBe(true);
  socket.write('b');
  // Nothing can be waited for that does not come: it is given a moment.
  await sleep(200);
  expect(echoes).toEqual(['a']);
  const echoed = once(socket, 'data');
  child.thaw();
  await echoed;
  expect(echoes).toEqual(['a', 'b']);
});
