import { connect, createServer, type Server, type Socket } from 'node:net';
import { Conditions } from './conditions.ts';

/** One end of a connection: what came, and how it ended. */
export class TcpPeer {
  readonly socket: Socket;
  readonly #conditions = new Conditions();
  readonly #chunks: Buffer[] = [];
  #length = 0;
  #ended = false;
  #error: string | undefined;
  #closed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#length += chunk.length;
      this.#conditions.changed();
    });
    socket.on('end', () => {
      this.#ended = true;
      this.#conditions.changed();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#error = error.code;
    });
    socket.on('close', () => {
      this.#closed = true;
      this.#conditions.changed();
    });
  }

  static async connect(port: number): Promise<TcpPeer> {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const peer = new TcpPeer(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return peer;
  }

  get received(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get length(): number {
    return this.#length;
  }

  get hasEnded(): boolean {
    return this.#ended;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Waits for so many bytes and gives all that has come. */
  async bytes(count: number): Promise<Buffer> {
    await this.#conditions.until(() => this.#length >= count);
    return this.received;
  }

  /** Waits for the FIN. */
  async ended(): Promise<void> {
    await this.#conditions.until(() => this.#ended);
  }

  /** Waits for the end of the connection: Node's code of the error, undefined where there was none. */
  async closed(): Promise<string | undefined> {
    await this.#conditions.until(() => this.#closed);
    return this.#error;
  }
}

/** A server that keeps its connections and does with each what it is told; default: it only listens to them. */
export class TcpTarget implements AsyncDisposable {
  readonly port: number;
  readonly peers: TcpPeer[] = [];
  readonly #server: Server;
  readonly #conditions = new Conditions();

  private constructor(server: Server, onPeer: (peer: TcpPeer) => void) {
    this.#server = server;
    this.port = (server.address() as { port: number }).port;
    server.on('connection', (socket) => {
      const peer = new TcpPeer(socket);
      this.peers.push(peer);
      onPeer(peer);
      this.#conditions.changed();
    });
  }

  static async start(onPeer: (peer: TcpPeer) => void = () => undefined): Promise<TcpTarget> {
    const server = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    return new TcpTarget(server, onPeer);
  }

  /** Sends back what comes, FIN included. */
  static async echo(): Promise<TcpTarget> {
    return await TcpTarget.start(({ socket }) => {
      socket.pipe(socket);
    });
  }

  /** Waits for the connection of this number, from 0. */
  async peer(number: number): Promise<TcpPeer> {
    await this.#conditions.until(() => this.peers.length > number);
    return this.peers[number]!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { socket } of this.peers) socket.destroy();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }
}

/**
 * Waits until a number has not changed for 20 looks at least 10 ms apart: how much two kernels take before they
 * are full is not known beforehand, and nothing says when they are.
 */
export async function standstill(look: () => number): Promise<void> {
  for (let same = 0, last = -1; same < 20; ) {
    const now = look();
    same = now === last ? same + 1 : 0;
    last = now;
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}
