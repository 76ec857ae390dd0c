import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

export interface SupervisedProcessOptions {
  /** Arguments of this very Node: the script and what follows it. */
  readonly args: readonly string[];
  /** The whole environment of the child. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Called once when the process keeps ending by itself, or cannot be started again. */
  readonly onFailure: (end: UnaskedEnd) => void;
  /** Text in its output by which it says that it is there, for {@link SupervisedProcess.startReady}. */
  readonly readyText?: string;
  /** True: it ends itself by SIGKILL where that is asked of it; whoever asks starts it again. Default false. */
  readonly killsItself?: boolean;
  /** How long {@link SupervisedProcess.stop} waits after SIGTERM before SIGKILL. Default 15,000. */
  readonly stopTimeoutMs?: number;
  /** How often in a row it may end by itself before that counts as failure. Default 5. */
  readonly maxUnaskedExits?: number;
  /** Delay in milliseconds before it is started again after it ended by itself. Default 200. */
  readonly restartDelayMs?: number;
}

/** How a process ended that nobody had asked to. */
export interface UnaskedEnd {
  /** Exit code and signal, in words. */
  readonly how: string;
  /** The end of its output. */
  readonly log: string;
  /** Why it could not be started again. */
  readonly cause?: unknown;
}

/** A process that lived this long did start: what ended it then is not counted with what came before. */
const settledMs = 10_000;

/** A process under test: killed for real, and started again when it ends by itself, as a supervisor of a host does. */
export class SupervisedProcess implements AsyncDisposable {
  readonly #options: SupervisedProcessOptions;
  #child: ChildProcess | undefined;
  #restart: NodeJS.Timeout | undefined;
  #startedAt = 0;
  #unaskedInARow = 0;
  #unaskedExits = 0;
  #log = '';

  constructor(options: SupervisedProcessOptions) {
    this.#options = options;
  }

  /** How often it ended by itself. */
  get unaskedExits(): number {
    return this.#unaskedExits;
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
      // The pipe to its standard input closes when this process dies, however it dies.
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
      if (signal === 'SIGKILL' && this.#options.killsItself === true) return;
      this.#ended(child, `exit code ${code}, signal ${signal}`);
    });
    await once(child, 'spawn');
  }

  /** Starts it, and waits until it says that it is there. @throws Error with the end of its output when it ends before */
  async startReady(signal: AbortSignal): Promise<void> {
    this.#log = '';
    await this.start();
    const child = this.#child;
    const gone = child === undefined ? undefined : once(child, 'close', { signal });
    gone?.catch(() => undefined);
    while (!this.#log.includes(this.#options.readyText ?? '')) {
      if (child?.stdout === null || child === undefined || hasEnded(child)) {
        throw new Error(
          `node ${this.#options.args.join(' ')} did not start. Its output ends with: ${this.#endOfLog}`,
        );
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

  /**
   * Stops it where it is (SIGSTOP), as a host does that has other things to do; {@link thaw} lets it go on.
   *
   * @returns false when it did not run
   */
  freeze(): boolean {
    return this.running && this.#child?.kill('SIGSTOP') === true;
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Resolves when the process that runs now has ended, by whatever; at once when none runs. */
  async ended(signal: AbortSignal): Promise<void> {
    const child = this.#child;
    if (child === undefined || hasEnded(child)) return;
    await once(child, 'exit', { signal });
  }

  /** Lets it finish and end; after a time it is killed. */
  async stop(): Promise<void> {
    const child = this.#release();
    if (child === undefined) return;
    const late = setTimeout(() => child.kill('SIGKILL'), this.#options.stopTimeoutMs ?? 15_000);
    await end(child, 'SIGTERM');
    clearTimeout(late);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  get #endOfLog(): string {
    return this.#log.slice(-4_000).trim();
  }

  /** From here on the child's end was asked for. */
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
    const fail = (cause?: unknown): void => this.#options.onFailure({ how, log: this.#endOfLog, cause });
    if (this.#unaskedInARow >= (this.#options.maxUnaskedExits ?? 5)) {
      fail();
      return;
    }
    this.#restart = setTimeout(() => {
      this.start().catch(fail);
    }, this.#options.restartDelayMs ?? 200);
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
