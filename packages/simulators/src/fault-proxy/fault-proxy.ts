import { connect, createServer, type Server, type Socket } from 'node:net';
import { Conditions } from './conditions.ts';
import { type ByteCounts, LaneFaults } from './lane-faults.ts';
import { ProxiedConnection } from './proxied-connection.ts';
import { type ProxyTarget, targetOf } from './proxy-target.ts';
import { throughProxy } from './through-proxy.ts';

/** Which way bytes go. */
export type Direction = 'toTarget' | 'toClient';

export interface FaultProxyOptions {
  /** As a URL: its host and port, which it must name. */
  readonly target: ProxyTarget | URL;
  /** Port on 127.0.0.1. Default: a free one. */
  readonly port?: number;
  /** Bytes that may wait in the proxy in each direction of each connection. Default 1 MiB; it bounds what a delay lets through. */
  readonly maxBufferedBytes?: number;
  /** Draws the jitter: from 0 up to 1. Default `Math.random`. */
  readonly random?: () => number;
  readonly signal?: AbortSignal;
}

/** Which direction a fault concerns. Default: both. */
export interface DirectionOptions {
  readonly direction?: Direction;
}

export interface WaitOptions {
  readonly signal?: AbortSignal;
}

const directions: readonly Direction[] = ['toTarget', 'toClient'];

/**
 * A TCP proxy on 127.0.0.1 that passes bytes both ways, unchanged, in order and with back-pressure, until it is
 * told to be a bad network. Half-closed connections stay half-closed; a RST on one side is a RST on the other.
 *
 * A half-open connection (the peer is gone and nobody says so) is `stall` or `swallow`: while one holds, neither
 * bytes nor FIN nor RST are passed on in its direction. Faults concern live and new connections alike, and add up.
 *
 * What it cannot imitate, because it ends TCP on both sides: lost, doubled or reordered segments (TCP would
 * hide them), a handshake that is not answered (a connection is accepted before the target is asked: a target
 * that refuses is seen as a RST), unacknowledged bytes (the proxy's kernel acknowledges what it has room for,
 * megabytes on loopback, also during `stall`), and the exact size of segments.
 */
export class FaultProxy implements AsyncDisposable {
  /** The port on 127.0.0.1; it stays the same through `refuse` and `accept`. */
  readonly port: number;
  readonly #options: FaultProxyOptions;
  readonly #faults: Readonly<Record<Direction, LaneFaults>> = {
    toTarget: new LaneFaults(),
    toClient: new LaneFaults(),
  };
  readonly #connections = new Set<ProxiedConnection>();
  readonly #conditions = new Conditions();
  #server: Server | undefined;
  #target: ProxyTarget;
  /** Listening again, under way. */
  #accepting: Promise<void> | undefined;
  #refused = false;
  #connected = 0;
  #disposed = false;

  private constructor(options: FaultProxyOptions, listening: { server: Server; port: number }) {
    this.#options = options;
    this.#target = targetOf(options.target);
    this.port = listening.port;
    this.#serve(listening.server);
  }

  /** Listens. @throws Error of Node (`EADDRINUSE`, …) when the port cannot be had */
  static async start(options: FaultProxyOptions): Promise<FaultProxy> {
    options.signal?.throwIfAborted();
    return new FaultProxy(options, await listen(options.port ?? 0));
  }

  /** How many connections are open: those of which at least one side is. */
  get connections(): number {
    return this.#connections.size;
  }

  /** How many connections have reached their target since the start. */
  get connected(): number {
    return this.#connected;
  }

  /**
   * A connection string's own text with this proxy in the place of its host and port.
   *
   * @throws TypeError for what is no URL with a host, and where a parameter would lead past the proxy
   */
  url(connectionString: string): string {
    return throughProxy(connectionString, this.port);
  }

  /** What went through in one direction since the start. */
  bytes(direction: Direction): ByteCounts {
    return this.#faults[direction].counts();
  }

  /** Resets every live connection on both sides. New ones are taken as before. */
  cut(): void {
    for (const connection of this.#connections) connection.cut();
  }

  /** Stops listening: new connections get ECONNREFUSED. Live ones stay. */
  refuse(): void {
    this.#refused = true;
    this.#server?.close();
    this.#server = undefined;
  }

  /** Listens again, after `refuse`. @throws Error of Node (`EADDRINUSE`) when the port was taken meanwhile */
  async accept(options: WaitOptions = {}): Promise<void> {
    if (this.#disposed) throw new TypeError('the proxy is disposed');
    options.signal?.throwIfAborted();
    this.#refused = false;
    while (this.#server === undefined && !this.#refused) {
      this.#accepting ??= this.#listenAgain();
      await this.#accepting;
    }
  }

  /** Hands everything on `ms` milliseconds late (and up to `jitterMs` more), in order. 0 ends it. */
  delay(ms: number, options: DirectionOptions & { readonly jitterMs?: number } = {}): void {
    const jitterMs = options.jitterMs ?? 0;
    if (!(ms >= 0) || !(jitterMs >= 0)) throw new RangeError('a delay is 0 or more milliseconds');
    const delay = ms + jitterMs === 0 ? undefined : { ms, jitterMs };
    this.#change(options, (faults) => {
      faults.delay = delay;
    });
  }

  /** Reads no further: senders come to feel back-pressure. Nothing is lost; `heal` hands it on. */
  stall(options: DirectionOptions = {}): void {
    this.#change(options, (faults) => {
      faults.mode = 'stall';
    });
  }

  /** Reads and throws away. What was read before waits for `heal`; what comes meanwhile is lost. */
  swallow(options: DirectionOptions = {}): void {
    this.#change(options, (faults) => {
      faults.mode = 'swallow';
    });
  }

  /**
   * Lets this many more bytes pass in one direction, over all connections, and resets the connection that
   * carries the last of them, be it in the middle of a message. Others live on. The receiver reads exactly
   * these bytes and then ECONNRESET: the RST waits until they are acknowledged. (On Linux; elsewhere it does not
   * wait, and overtakes what the receiver had no room for.)
   *
   * @throws RangeError unless `bytes` is a whole number of at least 1
   */
  dropAfter(bytes: number, options: { readonly direction: Direction }): void {
    if (!Number.isSafeInteger(bytes) || bytes < 1) throw new RangeError('dropAfter takes 1 byte or more');
    this.#faults[options.direction].dropAfter = bytes;
  }

  /** New connections go there. Live ones stay where they are: `cut` them for a server that has moved. */
  retarget(target: ProxyTarget | URL): void {
    this.#target = targetOf(target);
  }

  /** Ends every fault, `refuse` included; the target stays. What was held back is handed on at once, in order. */
  async heal(options: WaitOptions = {}): Promise<void> {
    this.#change({}, (faults) => faults.heal());
    await this.accept(options);
  }

  /** Resolves when a connection, counted from this call, has reached its target. */
  nextConnection(options: WaitOptions = {}): Promise<void> {
    const before = this.#connected;
    return this.until(() => this.#connected > before, options);
  }

  /** Resolves when this many bytes have passed in one direction since the start. */
  passed(bytes: number, options: WaitOptions & { readonly direction: Direction }): Promise<void> {
    const faults = this.#faults[options.direction];
    return this.until(() => faults.passed >= bytes, options);
  }

  /**
   * Resolves when a condition on this proxy's numbers holds: `proxy.until(() => proxy.connections === 0)`.
   * Rejects with the signal's reason, and when the proxy is disposed first.
   */
  until(holds: () => boolean, options: WaitOptions = {}): Promise<void> {
    return this.#conditions.until(holds, options);
  }

  /** Stops listening, resets every connection, in whatever state, and waits until the sockets are closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    this.refuse();
    await Promise.all([...this.#connections].map((connection) => connection[Symbol.asyncDispose]()));
    this.#conditions.close(new Error('the proxy was disposed'));
  }

  async #listenAgain(): Promise<void> {
    try {
      const { server } = await listen(this.port);
      if (this.#refused) server.close();
      else this.#serve(server);
    } finally {
      this.#accepting = undefined;
    }
  }

  #serve(server: Server): void {
    server.on('connection', (near) => this.#take(near));
    this.#server = server;
  }

  #take(near: Socket): void {
    const { toTarget, toClient } = this.#faults;
    const onChange = (): void => this.#conditions.changed();
    const connection: ProxiedConnection = new ProxiedConnection({
      near,
      far: connect({ ...this.#target, allowHalfOpen: true }),
      toTarget,
      toClient,
      maxBufferedBytes: this.#options.maxBufferedBytes ?? 1024 * 1024,
      random: this.#options.random ?? Math.random,
      onChange,
      onConnected: () => {
        this.#connected += 1;
        onChange();
      },
      onClosed: () => {
        this.#connections.delete(connection);
        onChange();
      },
    });
    this.#connections.add(connection);
    onChange();
  }

  #change(options: DirectionOptions, change: (faults: LaneFaults) => void): void {
    const chosen = options.direction === undefined ? directions : [options.direction];
    for (const direction of chosen) change(this.#faults[direction]);
    for (const connection of this.#connections) connection.update();
  }
}

async function listen(port: number): Promise<{ server: Server; port: number }> {
  // Paused, so that nothing is read before the target has taken the connection.
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('not a TCP server');
  return { server, port: address.port };
}
