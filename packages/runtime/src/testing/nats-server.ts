import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runtimeError } from '../errors/codes.ts';
import { freePort } from '../internal/free-port.ts';

export interface NatsServerOptions {
  /** Path of the nats-server program, 2.12 or newer. */
  readonly program: string;
  /** Lines of a configuration file beside address, port and store: a cluster, users, TLS. */
  readonly configuration?: string;
  /** Gives up waiting for the server and stops it. */
  readonly signal?: AbortSignal;
}

/** The part of a server's INFO line that is of use here. */
export interface NatsServerFacts {
  readonly version: string;
  readonly jetstream: boolean;
}

/**
 * A nats-server of our own with JetStream, on a free port of 127.0.0.1, its store in a temporary directory.
 * It dies with this process, also when this process is killed: a watcher holds a pipe to it.
 */
export class NatsServer implements AsyncDisposable {
  /** Where the server tells of itself by HTTP: `/jsz`, `/varz`. */
  readonly monitorUrl: string;
  /** Where JetStream keeps its streams; kept over {@link kill} and {@link resume}. */
  readonly storeDirectory: string;
  readonly #program: string;
  readonly #arguments: readonly string[];
  readonly #configured: string;
  #port: number;
  #facts: NatsServerFacts | undefined;
  #server: ChildProcess | undefined;
  #watcher: ChildProcess | undefined;
  #log = '';

  private constructor(init: {
    program: string;
    port: number;
    monitorPort: number;
    storeDirectory: string;
    configured: string;
    arguments: readonly string[];
  }) {
    this.#program = init.program;
    this.#configured = init.configured;
    this.monitorUrl = `http://127.0.0.1:${init.monitorPort}`;
    this.#arguments = ['-m', String(init.monitorPort), ...init.arguments];
    this.#port = init.port;
    this.storeDirectory = init.storeDirectory;
  }

  /** @throws ER5005 it did not start within 20 s */
  static async start(options: NatsServerOptions): Promise<NatsServer> {
    const storeDirectory = await mkdtemp(join(tmpdir(), 'event-runtime-nats-'));
    try {
      const configured = join(storeDirectory, 'nats.conf');
      if (options.configuration !== undefined) await writeFile(configured, options.configuration);
      const server = new NatsServer({
        program: options.program,
        port: await freePort(),
        monitorPort: await freePort(),
        storeDirectory,
        configured,
        arguments: options.configuration === undefined ? [] : ['-c', configured],
      });
      await server.resume(options.signal === undefined ? {} : { signal: options.signal });
      return server;
    } catch (cause) {
      await rm(storeDirectory, { recursive: true, force: true });
      throw cause;
    }
  }

  /** For a client: `nats://127.0.0.1:<port>`. */
  get url(): string {
    return `nats://127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  /** What the server told of itself when it last became ready. */
  get facts(): NatsServerFacts {
    if (this.#facts === undefined) throw new TypeError('the server never became ready');
    return this.#facts;
  }

  /** Starts the server again after {@link kill}, with the same streams. @param options `port`: default the same */
  async resume(options: { readonly port?: number; readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#port = options.port ?? this.#port;
    this.#log = '';
    const args = ['-a', '127.0.0.1', '-p', String(this.port), '-js', '-sd', this.storeDirectory];
    args.push(...this.#arguments);
    const server = spawn(this.#program, args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    this.#server = server;
    const keep = (text: string): void => {
      this.#log = (this.#log + text).slice(-20_000);
    };
    server.stderr.on('data', (chunk: Buffer) => keep(chunk.toString()));
    server.once('error', (error) => keep(error.message));
    this.#watch(server);
    server.unref();
    const deadline = Date.now() + 20_000;
    for (;;) {
      const ended = server.pid === undefined || server.exitCode !== null || server.signalCode !== null;
      if (ended || Date.now() > deadline || options.signal?.aborted === true) {
        // The message of a program that cannot be run arrives in the next turn.
        await sleep(0);
        await this.#end('SIGKILL');
        throw runtimeError('ER5005', { detail: `The log ends with: ${this.#log.slice(-2_000)}` });
      }
      const facts = await readInfo(this.port);
      if (facts?.jetstream === true) {
        this.#facts = facts;
        return;
      }
      await sleep(20);
    }
  }

  /**
   * Gives a server that was started with a configuration another one, while it runs (SIGHUP).
   *
   * @throws ER5005 it does not take it, or says nothing for 10 s
   */
  async reload(configuration: string): Promise<void> {
    await writeFile(this.#configured, configuration);
    this.#log = '';
    this.#server?.kill('SIGHUP');
    const deadline = Date.now() + 10_000;
    while (!this.#log.includes('Reloaded server configuration')) {
      if (Date.now() > deadline || /\[ERR\]|\[FTL\]/.test(this.#log)) {
        throw runtimeError('ER5005', { detail: `The log ends with: ${this.#log.slice(-2_000)}` });
      }
      await sleep(10);
    }
  }

  /** Stops the process where it is (SIGSTOP): its connections stay open, and from now on nobody answers on them. */
  async freeze(): Promise<void> {
    const pid = this.#server?.pid;
    if (pid === undefined) return;
    this.#server?.kill('SIGSTOP');
    // On a busy machine its threads run on for a moment.
    for (const until = Date.now() + 5_000; Date.now() < until && !(await isStopped(pid)); ) await sleep(1);
  }

  /** Lets a frozen process go on. */
  thaw(): void {
    this.#server?.kill('SIGCONT');
  }

  /** Whether it was started and neither killed nor stopped since. */
  get running(): boolean {
    return this.#server !== undefined;
  }

  /** Kills the server as a crash would; its streams stay as they were on disk. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Stops the server, frozen or not, within about a second, and removes its streams. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
    await rm(this.storeDirectory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** A shell that waits for our end of a pipe to close, then kills the server and removes its streams. */
  #watch(server: ChildProcess): void {
    if (process.platform === 'win32' || server.pid === undefined) return;
    const script = 'cat >/dev/null; kill -KILL "$1" 2>/dev/null; sleep 0.2; rm -rf "$2"';
    this.#watcher = spawn('sh', ['-c', script, 'watch', String(server.pid), this.storeDirectory], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    this.#watcher.unref();
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.#watcher?.kill('SIGKILL');
    this.#watcher = undefined;
    if (server?.pid === undefined || server.exitCode !== null || server.signalCode !== null) return;
    server.ref();
    await new Promise<void>((resolve) => {
      const killing = setTimeout(() => server.kill('SIGKILL'), 1_000);
      server.once('exit', () => {
        clearTimeout(killing);
        resolve();
      });
      server.kill(signal);
      // A frozen process takes nothing but SIGKILL.
      server.kill('SIGCONT');
    });
  }
}

/**
 * The first line that a NATS server sends to whoever connects; undefined while nobody answers within a second.
 * https://docs.nats.io/reference/reference-protocols/nats-protocol#info
 */
async function readInfo(port: number): Promise<NatsServerFacts | undefined> {
  return await new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    let received = '';
    const finish = (facts: NatsServerFacts | undefined): void => {
      socket.destroy();
      resolve(facts);
    };
    socket.setTimeout(1_000, () => finish(undefined));
    socket.once('error', () => finish(undefined));
    socket.once('close', () => finish(undefined));
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1');
      const end = received.indexOf('\r\n');
      if (end >= 0) finish(parseInfo(received.slice(0, end)));
    });
  });
}

function parseInfo(line: string): NatsServerFacts | undefined {
  if (!line.startsWith('INFO ')) return undefined;
  const info = JSON.parse(line.slice('INFO '.length)) as { version?: unknown; jetstream?: unknown };
  return { version: String(info.version), jetstream: info.jetstream === true };
}

/** Whether all threads of a process have stopped, where the system tells (Linux); elsewhere it is taken for granted. */
async function isStopped(pid: number): Promise<boolean> {
  try {
    const threads = await readdir(`/proc/${pid}/task`);
    const states = threads.map(async (id) => await readFile(`/proc/${pid}/task/${id}/stat`, 'latin1'));
    return (await Promise.all(states)).every((stat) => /\) [TtXZ] /.test(stat));
  } catch {
    return true;
  }
}
