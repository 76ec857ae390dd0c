import { CommanderError } from 'commander';
import type { Composition } from './composition.ts';
import { type ExitCode, exitCode } from './exit-code.ts';
import { program } from './program.ts';
import type { Terminal } from './terminal.ts';
import { refuseUnknownWord } from './unknown-word.ts';

export interface RunOptions {
  /** The words after the program's name. */
  readonly args: readonly string[];
  readonly terminal: Terminal;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  readonly composition: Composition;
}

/** Runs one command line to its end. Never throws: a failure is printed, and told by the exit code. */
export async function run(options: RunOptions): Promise<ExitCode> {
  const { args, terminal, env, signal, composition } = options;
  const end: { code: ExitCode } = { code: exitCode.ok };
  try {
    const root = program({
      composition,
      context: { terminal, env, signal },
      onExit: (code) => {
        end.code = code;
      },
    });
    refuseUnknownWord(root, args);
    await root.parseAsync([...args], { from: 'user' });
    return end.code;
  } catch (cause) {
    // Commander has printed what it has to say; help and version that were asked for are no failure.
    if (cause instanceof CommanderError && cause.exitCode === 0) return exitCode.ok;
    if (cause instanceof CommanderError && !args.includes('--json')) return exitCode.usage;
    if (signal.aborted && isAbort(cause, signal)) {
      terminal.note('stopped');
      return exitCode.failed;
    }
    // Only now: these know every code, and with them the whole runtime, which `--help` does not need.
    const [{ codedError }, { describeError, renderError }] = await Promise.all([
      import('./coded-error.ts'),
      import('./render-error.ts'),
    ]);
    const error = codedError(cause);
    if (args.includes('--json')) terminal.out(JSON.stringify({ error: describeError(error) }));
    else for (const line of renderError(error, terminal)) terminal.note(line);
    return isUsage(describeError(error).code) ? exitCode.usage : exitCode.failed;
  }
}

/** Whether the command ended because it was told to. */
function isAbort(cause: unknown, signal: AbortSignal): boolean {
  return cause === signal.reason || (cause instanceof Error && cause.name === 'AbortError');
}

/** Words, a setting, a code that are not valid: a matter of how the program was called. */
function isUsage(code: string | null): boolean {
  return code === 'ER5001' || code === 'ER5009' || code === 'ER5010';
}
