import { connect as connectSocket, createServer, type Server, type Socket } from 'node:net';

/** Passes bytes both ways until told to swallow what the server says. */
export class SilencingProxy implements AsyncDisposable {
  readonly url: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #silent = false;

  private constructor(server: Server, url: URL) {
    this.#server = server;
    this.url = url.href;
  }

  static async start(target: URL): Promise<SilencingProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const url = new URL(target);
    url.port = String((server.address() as { port: number }).port);
    const proxy = new SilencingProxy(server, url);
    server.on('connection', (near) => {
      const far = connectSocket(Number(target.port), target.hostname);
      for (const socket of [near, far]) {
        proxy.#sockets.add(socket);
        socket.on('error', () => undefined);
      }
      near.on('data', (chunk) => far.write(chunk));
      far.on('data', (chunk) => !proxy.#silent && near.write(chunk));
    });
    return proxy;
  }

  fallSilent(): void {
    this.#silent = true;
  }

  /** Neither reads nor writes any more, as a process that was stopped; the connections stay. */
  freeze(): void {
    for (const socket of this.#sockets) socket.pause();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }
}
