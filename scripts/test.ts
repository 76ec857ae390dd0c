/**
 * `npm test`: obtains the services that tests need, runs every test, and closes with a summary.
 * Arguments are vitest's: `npm test -- --project pg packages/runtime/src/schema`.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { obtainServices } from './services/services.ts';
import { memoryFolder } from './test/memory-folder.ts';
import type { Outcome } from './test/outcome.ts';
import { summarise } from './test/summary.ts';

const root = join(import.meta.dirname, '..');
const folder = mkdtempSync(join(tmpdir(), 'event-runtime-test-'));
const file = join(folder, 'outcome.json');

const services = await obtainServices();
const env: NodeJS.ProcessEnv = { ...process.env, EVENT_RUNTIME_TEST_OUTCOME: file };
for (const { service, path } of services) if (path !== undefined) env[service.variable] = path;

// Tests start programs by the hundred, many of them as TypeScript: what Node makes of a file is made once.
env['NODE_COMPILE_CACHE'] = join(folder, 'compiled');

const memory = memoryFolder();
if (memory !== undefined) env['TMPDIR'] = memory;

const vitest = join(root, 'node_modules/vitest/vitest.mjs');
const reporter = join(root, 'scripts/test/reporter.ts');
const args = [vitest, 'run', '--reporter=default', `--reporter=${reporter}`, ...process.argv.slice(2)];
const child = spawn(process.execPath, args, { cwd: root, env, stdio: 'inherit' });
// In a terminal Ctrl-C reaches vitest by itself: it stops its services and ends, and then we do.
// A second one, from here, would make it drop them.
process.on('SIGINT', () => {
  if (!process.stdin.isTTY) child.kill('SIGINT');
});
process.on('SIGTERM', () => child.kill('SIGTERM'));
const exitCode = await new Promise<number | null>((resolve) => {
  child.once('close', resolve);
  child.once('error', () => resolve(null));
});

const { text, exitCode: verdict } = summarise({ outcome: readOutcome(), exitCode, services, ci: inCi() });
console.log(text);
for (const made of [folder, memory]) if (made !== undefined) rmSync(made, { recursive: true, force: true });
process.exitCode = verdict;

function readOutcome(): Outcome | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Outcome;
  } catch {
    return undefined;
  }
}

function inCi(): boolean {
  return process.env['CI'] !== undefined && !['', '0', 'false'].includes(process.env['CI']);
}
