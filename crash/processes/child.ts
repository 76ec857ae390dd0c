import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

export interface ChildOptions {
  /** What it is called in messages. */
  readonly name: string;
  /** Arguments of this very Node: the script and what follows it. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Text on its standard output by which it says that it is there. */
  readonly readyText: string;
  /** Called once when it keeps ending by itself. */
  readonly onFailure: (error: Error) => void;
}

/** So often in a row it may end by itself, within {@link settledMs} each, before that counts as failure. */
const mostUnaskedExits = 8;
const settledMs = 10_000;
const restartMs = 200;

/** A process under test: killed for real, and started again when it ends by itself, as a supervisor of a host does. */
export class Child implements AsyncDisposable {
  readonly #options: ChildOptions;
  #child: ChildProcess | undefined;
  #restart: NodeJS.Timeout | undefined;
  #startedAt = 0;
  #unaskedInARow = 0;
  #unaskedExits = 0;
  #log = '';

  constructor(options: ChildOptions) {
    this.#options = options;
  }

  /** How often it ended by itself, other than at a failpoint. */
  get unaskedExits(): number {
    return this.#unaskedExits;
  }

  /** The end of what it wrote. */
  get log(): string {
    return this.#log.slice(-4_000).trim();
  }

  /** Whether it runs, as far as is known. */
  get running(): boolean {
    return this.#child !== undefined && !hasEnded(this.#child);
  }

  /** Starts it; resolves when the process is there. */
  async start(): Promise<void> {
    clearTimeout(this.#restart);
    const child = spawn(process.execPath, [...this.#options.args], {
      env: { ...this.#options.env },
      // The pipe to its standard input closes when the harness dies, however it dies.
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#startedAt = performance.now();
    const keep = (chunk: Buffer): void => {
      this.#log = (this.#log + chunk.toString()).slice(-20_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.stdin.on('error', () => undefined);
    child.once('close', (code, signal) => {
      // Nothing kills itself so but at a failpoint: whoever armed that starts it again.
      if (signal !== 'SIGKILL') this.#ended(child, `exit code ${code}, signal ${signal}`);
    });
    await once(child, 'spawn');
  }

  /** Starts it, and waits until it says that it is there. */
  async startReady(signal: AbortSignal): Promise<void> {
    this.#log = '';
    await this.start();
    const child = this.#child;
    const gone = child === undefined ? undefined : once(child, 'close', { signal });
    gone?.catch(() => undefined);
    while (!this.#log.includes(this.#options.readyText)) {
      if (child?.stdout === null || child === undefined || hasEnded(child)) {
        throw new Error(`${this.#options.name} did not start. Its output ends with: ${this.log}`);
      }
      await Promise.race([once(child.stdout, 'data', { signal }), gone]);
    }
  }

  /** Ends it as a crash would. @returns false when it did not run */
  async kill(): Promise<boolean> {
    const child = this.#release();
    if (child === undefined || hasEnded(child)) return false;
    await end(child, 'SIGKILL');
    return true;
  }

  /** Stops it where it is (SIGSTOP), as a host does that has other things to do; {@link thaw} lets it go on. @returns false when it did not run */
  freeze(): boolean {
    return this.running && this.#child?.kill('SIGSTOP') === true;
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Resolves when the process that runs now has ended, by whatever; at once when none runs. Not restarted then. */
  async ended(signal: AbortSignal): Promise<void> {
    const child = this.#child;
    if (child === undefined || hasEnded(child)) return;
    await once(child, 'exit', { signal });
  }

  async stop(): Promise<void> {
    const child = this.#release();
    if (child === undefined) return;
    const late = setTimeout(() => child.kill('SIGKILL'), 15_000);
    await end(child, 'SIGTERM');
    clearTimeout(late);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #release(): ChildProcess | undefined {
    clearTimeout(this.#restart);
    const child = this.#child;
    this.#child = undefined;
    return child;
  }

  #ended(child: ChildProcess, how: string): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    this.#unaskedExits += 1;
    this.#unaskedInARow = performance.now() - this.#startedAt > settledMs ? 1 : this.#unaskedInARow + 1;
    const fail = (): void => {
      const { name, onFailure } = this.#options;
      onFailure(new Error(`${name} keeps ending by itself (${how}). Its output ends with: ${this.log}`));
    };
    if (this.#unaskedInARow >= mostUnaskedExits) {
      fail();
      return;
    }
    this.#restart = setTimeout(() => {
      this.start().catch(fail);
    }, restartMs);
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (hasEnded(child)) return;
  const exit = once(child, 'exit');
  child.kill(signal);
  await exit;
}
