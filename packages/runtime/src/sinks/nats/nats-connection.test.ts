import { createServer, type Socket } from 'node:net';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectNats, withoutSecrets } from './nats-connection.ts';
import { loadNatsLibrary, type NatsLibrary } from './nats-library.ts';

test.each([
  ['nats://u:s3cret@host:1', 'nats://host:1'],
  ['NATS://u:s3cret@host', 'NATS://host'],
  ['nats://u:s3/cret@host:1', 'nats://host:1'],
  ['nats://u:s3@cret@host', 'nats://host'],
  ['u:s3cret@host:4222', 'host:4222'],
  ['s3cret@host', 'host'],
  ['nats://host:4222', 'nats://host:4222'],
])('of %s only %s is shown', (server, shown) => {
  expect(withoutSecrets(server)).toBe(shown);
});

describe('to a server of the test', () => {
  const servers: Array<ReturnType<typeof createServer>> = [];
  let library: NatsLibrary;
  beforeEach(async () => {
    library = await loadNatsLibrary();
  });
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  async function listen(onSocket: (socket: Socket) => void): Promise<string> {
    const server = createServer(onSocket);
    servers.push(server);
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    return `127.0.0.1:${(server.address() as { port: number }).port}`;
  }

  test('of attempts to one that accepts and says nothing no socket is left', async () => {
    let seen = 0;
    const open = new Set<Socket>();
    const mute = await listen((socket) => {
      seen += 1;
      open.add(socket);
      socket.on('error', () => undefined).once('close', () => open.delete(socket));
      socket.resume();
    });
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const options = { servers: [`nats://${mute}`], name: 'test', connectMs: 50 };
      await expect(connectNats(library, options)).rejects.toMatchObject({ code: 'ER4014' });
      await expect.poll(() => open.size).toBe(0);
    }
    expect(seen).toBe(3);
  });

  test('tls:// to one that offers no encryption: no password is sent', async () => {
    let received = '';
    const clear = await listen((socket) => {
      socket
        .on('error', () => undefined)
        .on('data', (chunk: Buffer) => {
          received += chunk.toString();
          socket.write('PONG\r\n');
        });
      socket.write(
        'INFO {"server_id":"A","version":"2.14.0","headers":true,"proto":1,"max_payload":1000000}\r\n',
      );
    });
    const access = async (): Promise<{ user: string; password: string }> => ({
      user: 'u',
      password: 's3cret',
    });
    const options = { servers: [`TLS://${clear}`], name: 'test', connectMs: 500, access };
    await expect(connectNats(library, options)).rejects.toMatchObject({ code: 'ER4014' });
    expect(received).toBe('');
  });

  test('nor does an address that is none show its password, however deep one looks', async () => {
    const options = { servers: ['nats://u:s3/cret@host:x:1'], name: 'test', connectMs: 500 };
    const error: unknown = await connectNats(library, options).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'ER4014' });
    expect(inspect(error, { depth: 9 })).not.toContain('cret@');
  });
});
