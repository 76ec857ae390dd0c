import { type ChildProcess, spawn } from 'node:child_process';

export interface CommandOptions {
  /** Whole time that the command may take, in milliseconds; it is killed with its children after that. */
  readonly timeoutMs: number;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A command that could not be run, ran too long, or failed. The message is one readable line. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  /** All that it wrote, stdout and stderr as they came. */
  readonly output: string;

  constructor(message: string, output: string) {
    super(message);
    this.output = output;
  }
}

/**
 * Runs a command and returns what it wrote to stdout.
 *
 * @throws CommandError
 */
export async function run(
  command: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<string> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own: the whole tree is killed at the time limit, not only its root.
    detached: process.platform !== 'win32',
  });
  let stdout = '';
  let all = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
    all += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    all += chunk.toString();
  });
  return await new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      killTree(child);
      reject(new CommandError(`${command} took longer than ${options.timeoutMs / 1_000} s`, all));
    }, options.timeoutMs);
    child.once('error', (error) => {
      clearTimeout(timer);
      const missing = 'code' in error && error.code === 'ENOENT';
      reject(new CommandError(missing ? `no ${command} here` : error.message, all));
    });
    child.once('close', (code) => {
      clearTimeout(timer);
      if (code === 0) resolve(stdout);
      else reject(new CommandError(lastLine(all) ?? `${command} ended with ${code}`, all));
    });
  });
}

function killTree(child: ChildProcess): void {
  try {
    if (child.pid !== undefined && process.platform !== 'win32') process.kill(-child.pid, 'SIGKILL');
    else child.kill('SIGKILL');
  } catch {
    // It ended by itself in this very moment.
  }
}

function lastLine(text: string): string | undefined {
  const line = text.trim().split('\n').at(-1)?.slice(0, 200);
  return line === '' ? undefined : line;
}
