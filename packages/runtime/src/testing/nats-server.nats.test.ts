import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { expect, inject, test } from 'vitest';
import { NatsServer } from './nats-server.ts';

const program = inject('natsServer');

async function answers(port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

test.skipIf(program === undefined)(
  'a server of ours has JetStream, survives a kill, and leaves nothing behind [needs nats-server]',
  async () => {
    const server = await NatsServer.start({ program: program! });
    expect(server.facts.jetstream).toBe(true);
    const [major, minor] = server.facts.version.split('.').map(Number);
    expect(major! > 2 || (major === 2 && minor! >= 12), server.facts.version).toBe(true);
    await server.kill();
    expect(await answers(server.port)).toBe(false);
    await server.resume();
    expect(await answers(server.port)).toBe(true);
    await server.stop();
    expect(await answers(server.port)).toBe(false);
    expect(existsSync(server.storeDirectory)).toBe(false);
  },
);

test.skipIf(program === undefined)('a frozen server can be stopped [needs nats-server]', async () => {
  const server = await NatsServer.start({ program: program! });
  try {
    await server.freeze();
    await server.stop();
    expect(await answers(server.port)).toBe(false);
  } finally {
    server.thaw();
  }
});

test.skipIf(program === undefined)(
  'the server dies with a process that is killed [needs nats-server]',
  async () => {
    const source = `
    const { NatsServer } = await import(${JSON.stringify(new URL('./nats-server.ts', import.meta.url).href)});
    const server = await NatsServer.start({ program: ${JSON.stringify(program)} });
    console.log(server.port);
    setInterval(() => undefined, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [chunk] = (await once(child.stdout, 'data')) as [Buffer];
    const port = Number(chunk.toString());
    expect(await answers(port)).toBe(true);
    child.kill('SIGKILL');
    await expect.poll(() => answers(port), { timeout: 60_000 }).toBe(false);
  },
);

test('a program that is not there is a coded error', async () => {
  await expect(NatsServer.start({ program: '/nowhere/nats-server' })).rejects.toMatchObject({
    code: 'ER5005',
  });
});

test('a program that ends at once is a coded error with its last words', async () => {
  await expect(NatsServer.start({ program: process.execPath })).rejects.toMatchObject({
    code: 'ER5005',
    message: expect.stringContaining('bad option') as string,
  });
});
