import { expect, test } from 'vitest';
import type { Missing, Service } from '../services/service.ts';
import type { Outcome } from './outcome.ts';
import { type Run, summarise } from './summary.ts';

const outcome: Outcome = {
  projects: { unit: { passed: 3, failed: 0, skipped: 0 }, pg: { passed: 4, failed: 0, skipped: 0 } },
  skips: [],
  errors: 0,
};
const good: Run = { outcome, exitCode: 0, services: [], ci: false };
const skipped = (reason: string): Outcome => ({
  ...outcome,
  projects: { unit: { passed: 3, failed: 0, skipped: 1 } },
  skips: [{ test: 'a.test.ts > a', reason }],
});
const missing: Missing = {
  service: { name: 'thing', variable: 'T', wanted: '>= 2', purpose: 'tests', ways: [] } as unknown as Service,
  path: undefined,
  refused: [],
};

test('all passed: success, and the closing line stands alone', () => {
  const { text, exitCode } = summarise(good);
  expect(exitCode).toBe(0);
  expect(text.split('\n').at(-1)).toBe('7 passed, 0 failed, 0 skipped');
});

test.each<[string, Partial<Run>, string]>([
  ['no test ran', { outcome: { projects: {}, skips: [], errors: 0 } }, 'No test ran.'],
  [
    'all were skipped',
    { outcome: { ...skipped('to do'), projects: { unit: { passed: 0, failed: 0, skipped: 1 } } } },
    'No test ran.',
  ],
  ['nothing was counted', { outcome: undefined }, 'broke off'],
  ['an error outside of any test', { outcome: { ...outcome, errors: 1 } }, '1 errors outside of any test'],
  ['vitest itself failed', { exitCode: 1 }, 'vitest ended with exit 1'],
  ['vitest was killed', { exitCode: null }, 'vitest ended with exit null'],
  ['a service is missing in CI', { services: [missing], ci: true }, 'CI needs thing (>= 2)'],
  [
    'a skip for a need in CI',
    { outcome: skipped('needs thing'), ci: true },
    'Skipped in CI (needs thing): a.test.ts > a',
  ],
  [
    'a skip without a reason in CI',
    { outcome: skipped('no reason given'), ci: true },
    'Skipped in CI (no reason',
  ],
])('%s: failure, and it says so', (_name, change, message) => {
  const { text, exitCode } = summarise({ ...good, ...change });
  expect(exitCode).toBe(1);
  expect(text).toContain(message);
});

test('a failed test is a failure even where vitest says 0', () => {
  const failed: Outcome = { ...outcome, projects: { unit: { passed: 3, failed: 2, skipped: 0 } } };
  const { text, exitCode } = summarise({ ...good, outcome: failed });
  expect(exitCode).toBe(1);
  expect(text.split('\n').at(-1)).toBe('3 passed, 2 failed, 0 skipped');
});

test("on a person's machine a missing service is counted, not hidden", () => {
  const { text, exitCode } = summarise({ ...good, outcome: skipped('needs thing'), services: [missing] });
  expect(exitCode).toBe(0);
  expect(text).toContain('✗ thing  not found');
  expect(text).toContain('  1  needs thing\n');
  expect(text.split('\n').at(-1)).toBe('3 passed, 0 failed, 1 skipped');
});
