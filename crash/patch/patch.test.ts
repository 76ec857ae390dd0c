import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FailpointControl } from './failpoint-control.ts';
import { instrument } from './failpoint-marks.ts';
import { applyPatch } from './patch.ts';

describe('a patch', () => {
  const patch = { file: 'runtime/dist/a.js', find: 'a < b', replace: "a <= b /* $& $' */" };

  test('replaces its text, whatever signs are in it', () => {
    expect(applyPatch('if (a < b) c();', patch)).toBe("if (a <= b /* $& $' */) c();");
  });

  test.each([
    ['is not there', 'if (b < a) c();', 0],
    ['is there twice', 'a < b; a < b;', 2],
  ])('whose text %s is refused', (_name, text, times) => {
    expect(() => applyPatch(text, patch)).toThrow(
      `packages/runtime/dist/a.js: found ${times} times, not once: "a < b"`,
    );
  });
});

describe('marks', () => {
  test('become calls on the same lines, and the hook is imported', () => {
    const { text, failpoints } = instrument('a();\n  // failpoint: relay.tick\nb();\n', '../hook.ts');
    expect(failpoints).toEqual(['relay.tick']);
    expect(text).toBe(
      'a();\n  __crashFailpoint("relay.tick");\nb();\n\nimport { failpoint as __crashFailpoint } from "../hook.ts";\n',
    );
  });

  test('a file without a mark stays as it is', () => {
    expect(instrument('a();\n', '../hook.ts')).toEqual({ text: 'a();\n', failpoints: [] });
  });

  test.each([
    'a(); // failpoint: relay.tick',
    '// failpoint: Relay_Tick',
    '// failpoint: a b',
    '// failpoint:',
  ])('%j is refused, for it would never be hit', (line) => {
    expect(() => instrument(`${line}\n`, '../hook.ts')).toThrow(/failpoint/);
  });
});

describe('a process with failpoints', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'event-runtime-failpoint-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** Says 1, 2, … up to 5, a pass of the failpoint `b` after each. */
  async function count(
    control: FailpointControl,
  ): Promise<{ readonly said: string; readonly signal: string | null }> {
    const program = join(folder, 'program.mjs');
    const source =
      "import { writeSync } from 'node:fs';\nfor (let n = 1; n <= 5; n += 1) {\n  writeSync(1, `${n}`);\n// failpoint: b\n}\n";
    writeFileSync(program, instrument(source, join(import.meta.dirname, 'failpoint-hook.ts')).text);
    const child = spawn(process.execPath, [program], {
      env: { ...control.env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const [, signal] = (await once(child, 'close')) as [number | null, string | null];
    return { said, signal };
  }

  test('kills itself at the armed pass, at once, and says so first', async () => {
    const control = new FailpointControl(folder);
    const before = Date.now();
    const token = control.arm('b', 3);
    expect(control.hitOf(token)).toBeUndefined();
    expect(await count(control)).toEqual({ said: '123', signal: 'SIGKILL' });
    expect(control.hitOf(token)).toMatchObject({ failpoint: 'b', token });
    expect(control.hitOf(token)?.at).toBeGreaterThanOrEqual(before - 1);
  });

  test('runs on when nothing is armed, or another failpoint', async () => {
    const control = new FailpointControl(folder);
    expect(await count(control)).toEqual({ said: '12345', signal: null });
    const token = control.arm('a', 1);
    expect(await count(control)).toEqual({ said: '12345', signal: null });
    expect(control.hitOf(token)).toBeUndefined();
    control.disarm();
    expect(await count(control)).toEqual({ said: '12345', signal: null });
  });
});
