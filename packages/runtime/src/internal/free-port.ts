import { createServer } from 'node:net';

/** Below what systems give to connections, and to servers that ask for any port: nobody gets it by chance meanwhile. */
const [from, count] = [15_000, 17_000];

/** Processes at work side by side begin far from each other, and none comes back soon to what it gave out. */
let next = process.pid * 7_919;

/**
 * A TCP port on 127.0.0.1 that was free a moment ago, and that whoever starts a server later, or starts it again, will
 * find free: no other process is given it without having asked for it.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries += 1) {
    const port = from + (next++ % count);
    if ((await listen(port)) === port) return port;
  }
  const port = await listen(0);
  if (port === undefined) throw new TypeError('no port');
  return port;
}

/** @returns which it was; undefined: it is taken */
async function listen(port: number): Promise<number | undefined> {
  const server = createServer();
  const listening = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => resolve(true));
  });
  if (!listening) return undefined;
  const address = server.address();
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  return address === null || typeof address === 'string' ? undefined : address.port;
}
