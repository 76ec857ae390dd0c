import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('./bare-publisher.ts', import.meta.url));

export interface BareOptions {
  readonly databaseUrl: string;
  /** What it reads; nothing of it is confirmed. */
  readonly slot: string;
  /** Makes the slot first, for itself. Default false. */
  readonly temporarySlot?: boolean;
  readonly natsUrl: string;
  readonly stream: string;
  /** The first token of its subjects; tenant and type follow, as in the product's. */
  readonly subjects: string;
  /** It ends when so many are acknowledged. */
  readonly events: number;
  /** Messages without an acknowledgement, at most. */
  readonly mostInFlight: number;
  /** A file for the times of acknowledgement: 64-bit floats by the sequence in the stream, milliseconds since 1970. */
  readonly acknowledgements?: string;
}

export interface BareResult {
  /** From the first acknowledgement to the last one. */
  readonly perSecond: number;
  /** User and system time of the process between these. */
  readonly cpuSecondsPerThousand: number;
}

/** The bare publisher in a process of its own, reading. */
export class BareProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #said = '';

  private constructor(child: ChildProcess & { readonly stdout: NonNullable<ChildProcess['stdout']> }) {
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#said = (this.#said + chunk.toString()).slice(-4_000);
    });
  }

  /** Resolves when it reads its slot. @throws with what it said when it ended before */
  static async start(options: BareOptions): Promise<BareProcess> {
    const child = spawn(process.execPath, [program, JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const bare = new BareProcess(child);
    await bare.#line();
    return bare;
  }

  /** When all is acknowledged. @throws with what it said when it ended before */
  async result(): Promise<BareResult> {
    return JSON.parse(await this.#line()) as BareResult;
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done !== true) return value;
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit');
    throw new Error(`the bare publisher ended: ${this.#said}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
  }
}
