import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { programEnvironment } from './program-environment.suite.ts';

const program = fileURLToPath(new URL('../bin/event-runtime.js', import.meta.url));

/** One line of the log on standard output. */
export interface LogLine {
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface ProgramOptions {
  /** Beside {@link programEnvironment}. */
  readonly env: Readonly<Record<string, string>>;
  /** Its working directory. Default: ours. */
  readonly cwd?: string;
}

/** A real process of the program as built; killed at dispose. */
export class Program implements AsyncDisposable {
  out = '';
  errors = '';
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown[]>;

  constructor(args: readonly string[], options: ProgramOptions) {
    this.#child = spawn(process.execPath, [program, ...args], {
      cwd: options.cwd,
      env: { ...programEnvironment, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stdout?.on('data', (chunk: Buffer) => (this.out += chunk.toString()));
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.errors += chunk.toString()));
    this.#exit = once(this.#child, 'close');
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves when it has written this. @throws Error it ended before */
  async says(stream: 'out' | 'errors', text: string): Promise<void> {
    while (!this[stream].includes(text)) {
      const source = stream === 'out' ? this.#child.stdout : this.#child.stderr;
      const ended = this.#exit.then(() => {
        if (this[stream].includes(text)) return;
        throw new Error(`it ended without ${text}:\n${this.out}\n${this.errors}`);
      });
      await Promise.race([once(source!, 'data'), ended]);
    }
  }

  /** Resolves with the first line of its log under this name. @throws Error it ended before */
  async logs(event: string): Promise<LogLine> {
    await this.says('out', `"event":"${event}"`);
    for (;;) {
      const [line] = this.logged(event);
      if (line !== undefined) return line;
      // The rest of the line is on its way.
      await once(this.#child.stdout!, 'data');
    }
  }

  /** The whole lines of its log under this name so far. */
  logged(event: string): LogLine[] {
    const lines = this.out.slice(0, this.out.lastIndexOf('\n') + 1).split('\n');
    return lines
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as LogLine)
      .filter((line) => line.event === event);
  }

  /** Its exit code; null: a signal ended it. */
  async exit(): Promise<number | null> {
    const [code] = await this.#exit;
    return code as number | null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill('SIGKILL');
    await this.#exit;
  }
}
