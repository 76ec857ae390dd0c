import { constants } from 'node:os';
import { composition } from './commands.ts';
import { run } from './run.ts';
import { terminalOf } from './terminal.ts';

/**
 * The program: runs the command line of this process and sets its exit code.
 *
 * The first Ctrl-C (or SIGTERM) asks the command to stop and clean up; the second ends the process at once.
 */
export async function main(): Promise<void> {
  const terminal = terminalOf(process);
  const stop = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (stop.signal.aborted) process.exit(128 + constants.signals[name]);
    terminal.note(`${name}: stopping; once more ends at once`);
    stop.abort(new DOMException(`stopped by ${name}`, 'AbortError'));
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  const args = process.argv.slice(2);
  process.exitCode = await run({ args, terminal, env: process.env, signal: stop.signal, composition });
  process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  // Fires only if something that did not stop in time (ER9002) still keeps the process alive.
  setTimeout(() => process.exit(), 3_000).unref();
}
