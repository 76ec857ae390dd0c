import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { mutants } from './mutants/all.ts';
import { retryReorders } from './mutants/retry-reorders.ts';
import { patchedCopy } from './patch/patched-copy.ts';
import { exitCode, isFaulty } from './report/crash-result.ts';
import { terminalReport } from './report/terminal.ts';
import { type RunCrashOptions, runCrash } from './run-crash.ts';

const root = join(import.meta.dirname, '..');

/** The full run is a command; this is so small a version that it fits in a test run. */
const small: RunCrashOptions = {
  root,
  kills: 4,
  hits: 0,
  freezes: 0,
  seed: 4,
  events: 300,
  rate: 150,
  postgres: '18',
  sources: 'wal',
  mutant: undefined,
  signal: AbortSignal.timeout(100_000),
};

test('killed again and again, it loses, invents, reorders and alters nothing', {
  timeout: 120_000,
}, async () => {
  const result = await runCrash(small);
  expect(result.differences).toEqual([]);
  expect(result.kills).toBe(4);
  expect(result.killsInFlight).toBeGreaterThan(0);
  expect(result.events).toBeGreaterThan(200);
  expect(isFaulty(result)).toBe(false);
  expect(exitCode(result)).toBe(0);
});

test('a program in which a later event passes a failed one is convicted', { timeout: 120_000 }, async () => {
  const result = await runCrash({ ...small, kills: 1, events: 200, mutant: retryReorders, stallMs: 5_000 });
  expect(result.reordered).toBeGreaterThan(0);
  expect(exitCode(result)).toBe(1);
  expect(terminalReport(result)).toContain('mutant retry-reorders: convicted');
});

test('every mutant applies to what is built, and the failpoints are found', { timeout: 60_000 }, async () => {
  for (const mutant of mutants) {
    await using copy = await patchedCopy({ root, patches: mutant.patches });
    expect(copy.failpoints, mutant.name).toContain('webhooks.fan-out.before');
  }
});

test.each([
  [['--mutant', 'nothing'], 'there is no mutant nothing'],
  [['--postgres', '14'], '--postgres is 15 or 18'],
  [['--kills', '-1'], '--kills'],
  [['--what'], '--what'],
])('%j is refused with exit 2', (args, message) => {
  const { status, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, 'run.ts'), ...args], {
    encoding: 'utf8',
  });
  expect(stderr).toContain(message);
  expect(status).toBe(2);
});
