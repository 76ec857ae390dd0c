import { type ChildProcess, spawn } from 'node:child_process';
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runtimeError } from '../errors/codes.ts';
import { freePort } from '../internal/free-port.ts';
import { unprivilegedAccount } from './postgres-binaries.ts';

export interface PgBouncerOptions {
  /** Path of the pgbouncer program, 1.14 or newer. */
  readonly program: string;
  /** Connection strings of one server, for all users that will connect, with their passwords. */
  readonly servers: readonly [string, ...string[]];
  /** Default `transaction`. */
  readonly poolMode?: 'session' | 'transaction' | 'statement';
  /** Server connections for each user and database. Default 5. */
  readonly poolSize?: number;
  /** More lines of section `[pgbouncer]`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/**
 * A PgBouncer of our own before a server, on a free port of 127.0.0.1. Clients are not asked for their passwords.
 * It dies with this process, also when this process is killed: a watcher holds a pipe to it.
 */
export class PgBouncer implements AsyncDisposable {
  readonly port: number;
  readonly #folder: string;
  #server: ChildProcess | undefined;
  #watcher: ChildProcess | undefined;

  private constructor(port: number, folder: string) {
    this.port = port;
    this.#folder = folder;
  }

  /** @throws ER5008 it did not start within 20 s */
  static async start(options: PgBouncerOptions): Promise<PgBouncer> {
    const folder = await mkdtemp(join(tmpdir(), 'event-runtime-pgbouncer-'));
    const pooler = new PgBouncer(await freePort(), folder);
    try {
      await pooler.#launch(options);
      return pooler;
    } catch (cause) {
      await pooler[Symbol.asyncDispose]();
      throw cause;
    }
  }

  /** The same database and user, through the pooler. */
  url(connectionString: string): string {
    const url = new URL(connectionString);
    url.hostname = '127.0.0.1';
    url.port = String(this.port);
    return url.href;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.#watcher?.kill('SIGKILL');
    if (server?.pid !== undefined && server.exitCode === null && server.signalCode === null) {
      server.ref();
      await new Promise<void>((resolve) => {
        server.once('exit', () => resolve());
        // At once: it would wait for its clients otherwise.
        server.kill('SIGKILL');
      });
    }
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }

  async #launch(options: PgBouncerOptions): Promise<void> {
    const file = await this.#configure(options);
    const server = spawn(options.program, [file], { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    this.#server = server;
    let log = '';
    server.stderr.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-20_000);
    });
    server.once('error', (error) => {
      log += error.message;
    });
    this.#watch(server);
    server.unref();
    (server.stderr as Socket).unref();
    for (const deadline = Date.now() + 20_000; !log.includes('process up:'); ) {
      const ended = server.pid === undefined || server.exitCode !== null || server.signalCode !== null;
      if (ended || Date.now() > deadline) {
        // The message of a program that cannot be run arrives in the next turn.
        await sleep(0);
        throw runtimeError('ER5008', { detail: `The log ends with: ${log.slice(-2_000)}` });
      }
      await sleep(10);
    }
  }

  async #configure({ servers, poolMode, poolSize, settings }: PgBouncerOptions): Promise<string> {
    const [first] = servers;
    const { hostname, port } = new URL(first);
    const users = join(this.#folder, 'users.txt');
    const account = await unprivilegedAccount();
    const lines: Readonly<Record<string, string>> = {
      listen_addr: '127.0.0.1',
      listen_port: String(this.port),
      unix_socket_dir: '',
      auth_type: 'trust',
      auth_file: users,
      pool_mode: poolMode ?? 'transaction',
      default_pool_size: String(poolSize ?? 5),
      max_client_conn: '500',
      // It refuses to run as root: it changes to this account when it has read its files.
      ...(account === undefined ? {} : { user: account.name }),
      ...settings,
    };
    const text = Object.entries(lines).map(([name, value]) => `${name} = ${value}`);
    const file = join(this.#folder, 'pgbouncer.ini');
    const logins = servers.map((server) => new URL(server));
    await writeFile(users, logins.map(login).join('\n'), { mode: 0o600 });
    await writeFile(
      file,
      ['[databases]', `* = host=${hostname} port=${port}`, '[pgbouncer]', ...text, ''].join('\n'),
      { mode: 0o600 },
    );
    if (account !== undefined) {
      for (const path of [this.#folder, users, file]) await chown(path, account.uid, account.gid);
    }
    return file;
  }

  /** A shell that waits for our end of a pipe to close, then kills the pooler and removes its files. */
  #watch(server: ChildProcess): void {
    if (process.platform === 'win32' || server.pid === undefined) return;
    const script = 'cat >/dev/null; kill -KILL "$1" 2>/dev/null; sleep 0.2; rm -rf "$2"';
    this.#watcher = spawn('sh', ['-c', script, 'watch', String(server.pid), this.#folder], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    this.#watcher.unref();
  }
}

/** A line of the file of users. */
function login({ username, password }: URL): string {
  return `"${decodeURIComponent(username)}" "${decodeURIComponent(password)}"`;
}
