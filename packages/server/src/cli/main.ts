import { constants } from 'node:os';
import { composition } from './commands.ts';
import { RepeatedSignal } from './repeated-signal.ts';
import { run } from './run.ts';
import { terminalOf } from './terminal.ts';

/**
 * The program: runs the command line of this process and sets its exit code.
 *
 * The first Ctrl-C (or SIGTERM) asks the command to stop and clean up; the second ends the process at once, a Ctrl-C
 * once a second is over.
 * A reader of the output that goes away (`| head`, a closed terminal) asks for the same: nobody looks on.
 */
export async function main(): Promise<void> {
  const terminal = terminalOf(process);
  const stop = new AbortController();
  const repeated = new RepeatedSignal();
  const onSignal = (name: NodeJS.Signals): void => {
    if (repeated.isEcho(name, performance.now())) return;
    if (stop.signal.aborted) process.exit(128 + constants.signals[name]);
    terminal.note(`${name}: stopping; once more ends at once`);
    stop.abort(new DOMException(`stopped by ${name}`, 'AbortError'));
  };
  const onHangUp = (): void => stop.abort(new DOMException('the terminal was closed', 'AbortError'));
  // A stream without a listener would end the process in the middle, with nothing cleaned up.
  const onOutputGone = (): void => stop.abort(new DOMException('the output was closed', 'AbortError'));
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onHangUp);
  process.stdout.on('error', onOutputGone);
  process.stderr.on('error', onOutputGone);
  const args = process.argv.slice(2);
  process.exitCode = await run({ args, terminal, env: process.env, signal: stop.signal, composition });
  process.off('SIGINT', onSignal).off('SIGTERM', onSignal).off('SIGHUP', onHangUp);
  // Fires only if something that did not stop in time (ER9002) still keeps the process alive.
  setTimeout(() => process.exit(), 3_000).unref();
}
