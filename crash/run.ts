// npm run crash -- [--kills N] [--seed N] [--mutant NAME] [--json]: kills everything, and compares. See --help.
import { join } from 'node:path';
import { type CrashOptions, readCrashOptions, usage } from './crash-options.ts';
import { exitCodes } from './report/crash-result.ts';
import { terminalReport } from './report/terminal.ts';
import { runCrash } from './run-crash.ts';

const args = process.argv.slice(2);
if (args.includes('--help')) {
  process.stdout.write(usage);
} else {
  process.exitCode = await main();
}

async function main(): Promise<number> {
  let options: CrashOptions;
  try {
    options = readCrashOptions(args);
  } catch (cause) {
    process.stderr.write(`${(cause as Error).message}\n\n${usage}`);
    return 2;
  }
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => interrupted.abort(new Error(`stopped by ${name}`)));
  }
  const { json, ...run } = options;
  try {
    const result = await runCrash({
      ...run,
      root: join(import.meta.dirname, '..'),
      onProgress: (line) => process.stderr.write(`${line}\n`),
      signal: interrupted.signal,
    });
    process.stdout.write(json ? `${JSON.stringify(result)}\n` : `\n${terminalReport(result)}`);
    return exitCodes[result.outcome];
  } catch (cause) {
    const [message, trace] = cause instanceof Error ? [cause.message, cause.stack] : [String(cause)];
    process.stderr.write(`the run itself failed: ${trace ?? message}\n`);
    if (json) process.stdout.write(`${JSON.stringify({ outcome: 'failed', message })}\n`);
    return 3;
  }
}
