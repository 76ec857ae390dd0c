import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { serverError } from '../server-error.ts';
import type { RelayUnderTest } from './relay-under-test.ts';

export interface RelayProcessOptions {
  /** Arguments of this very Node: the script and what follows it. */
  readonly args: readonly string[];
  /** The whole environment of the child. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Called once when the process keeps ending by itself. ER5004 */
  readonly onFailure: (error: Error) => void;
  /** How long {@link RelayProcess.stop} waits after SIGTERM before SIGKILL. Default 15,000. */
  readonly stopTimeoutMs?: number;
  /** How often in a row it may end by itself before that counts as failure. Default 5. */
  readonly maxUnaskedExits?: number;
  /** Delay in milliseconds before it is started again after it ended by itself. Default 200. */
  readonly restartDelayMs?: number;
}

/** A process that lived this long did start: what ended it then is not counted with what came before. */
const settledMs = 10_000;

/** The relay as users run it: a process of its own, started again when it ends by itself. */
export class RelayProcess implements RelayUnderTest {
  readonly #options: RelayProcessOptions;
  #child: ChildProcess | undefined;
  #restart: NodeJS.Timeout | undefined;
  #startedAt = 0;
  #unaskedExits = 0;
  #log = '';

  constructor(options: RelayProcessOptions) {
    this.#options = options;
  }

  /** The process id; undefined while it does not run. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async start(): Promise<void> {
    const child = spawn(process.execPath, [...this.#options.args], {
      env: this.#options.env,
      // The pipe to its standard input closes when this process dies, however it dies.
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#startedAt = performance.now();
    const keep = (chunk: Buffer): void => {
      this.#log = (this.#log + chunk.toString()).slice(-8_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.stdin.on('error', () => undefined);
    child.once('close', (code, signal) => this.#ended(child, `exit code ${code}, signal ${signal}`));
    await once(child, 'spawn');
  }

  async kill(): Promise<boolean> {
    const child = this.#release();
    if (child === undefined || hasEnded(child)) return false;
    await end(child, 'SIGKILL');
    return true;
  }

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
    if (performance.now() - this.#startedAt > settledMs) this.#unaskedExits = 0;
    this.#unaskedExits += 1;
    const fail = (cause?: unknown): void => {
      const detail = `It is the relay (${how}). Its output ends with: ${this.#log.slice(-2_000).trim()}`;
      this.#options.onFailure(serverError('ER5004', { detail, cause }));
    };
    if (this.#unaskedExits >= (this.#options.maxUnaskedExits ?? 5)) {
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
