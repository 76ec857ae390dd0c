import { expect, test } from 'vitest';
import { runSteps } from './run-steps.ts';
import type { Step } from './step.ts';

const clean: Step = { name: 'clean', about: 'finds nothing', run: () => Promise.resolve([]) };
const red: Step = { name: 'red', about: 'finds one', run: () => Promise.resolve(['a.ts:1: wrong']) };
const broken: Step = { name: 'broken', about: 'throws', run: () => Promise.reject(new Error('no disk')) };

async function outcome(steps: readonly Step[], isTTY = false): Promise<{ code: number; text: string }> {
  let text = '';
  const output = { isTTY, write: (chunk: string) => (text += chunk) };
  return { code: await runSteps(steps, { root: '/', output }), text };
}

test('content steps: exit 0, and nothing but the list', async () => {
  const { code, text } = await outcome([clean]);
  expect(code).toBe(0);
  expect(text).toMatch(/^✓ clean {2}finds nothing \d+\.\d s\n\n1 checks, all clean\n$/);
});

test('a red step: exit 1, its output shown, the steps after it still run', async () => {
  const { code, text } = await outcome([red, clean]);
  expect(code).toBe(1);
  expect(text).toContain('✗ red ');
  expect(text).toContain('✓ clean');
  expect(text).toContain('── red ──\na.ts:1: wrong\n');
  expect(text).toContain('2 checks, failed: red\n');
});

test('a step that throws is red, not left out', async () => {
  const { code, text } = await outcome([broken]);
  expect(code).toBe(1);
  expect(text).toContain('no disk');
});

test('no step at all is no success', async () => {
  expect((await outcome([])).code).toBe(1);
});

test('on a terminal the line of a step is drawn while it runs and replaced when it ends', async () => {
  const { text } = await outcome([clean], true);
  expect(text).toMatch(/^\r\u001b\[K⠋ clean .*\r\u001b\[K✓ clean .*\n/);
});
