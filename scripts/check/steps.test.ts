import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { repositoryFiles } from './repository-files.ts';
import { steps } from './steps.ts';

const root = join(import.meta.dirname, '../..');
let copy = '';

function plant(file: string, text: string): void {
  mkdirSync(dirname(join(copy, file)), { recursive: true });
  writeFileSync(join(copy, file), text);
}

function edit(file: string, from: string, to: string): void {
  const text = readFileSync(join(copy, file), 'utf8');
  expect(text).toContain(from);
  writeFileSync(join(copy, file), text.replace(from, to));
}

/** Half of the working tree, with which no step has anything to do but to take as long again. */
const leftOut = /\.test\.ts$|^(bench|crash)\//;

/** A copy of the working tree, less tests, whose packages see each other, and the dependencies of the original. */
async function copyTree(): Promise<void> {
  for (const file of await repositoryFiles(root)) {
    if (leftOut.test(file)) continue;
    mkdirSync(dirname(join(copy, file)), { recursive: true });
    try {
      cpSync(join(root, file), join(copy, file));
    } catch (error) {
      // Deleted since, and still in git's list.
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
  }
  mkdirSync(join(copy, 'node_modules/@event-runtime'), { recursive: true });
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (name === '@event-runtime' || name === 'event-runtime') continue;
    symlinkSync(join(root, 'node_modules', name), join(copy, 'node_modules', name));
  }
  for (const name of readdirSync(join(copy, 'packages'))) {
    const link = name === 'server' ? 'event-runtime' : `@event-runtime/${name}`;
    symlinkSync(join(copy, 'packages', name), join(copy, 'node_modules', link));
  }
  execFileSync('git', ['init', '--quiet', copy]);
}

/** One fault for every step; the text that its report must contain. */
const faults: Readonly<Record<string, { readonly plant: () => void; readonly told: readonly string[] }>> = {
  format: {
    plant: () => plant('packages/runtime/src/log/crooked.ts', 'export const   x = 1\n'),
    told: ['crooked.ts'],
  },
  lock: {
    plant: () =>
      edit(
        'package-lock.json',
        '"node_modules/pg": {',
        '"node_modules/pg": { "engines": { "node": ">= 16" },',
      ),
    told: ['node_modules/pg has engines'],
  },
  // Put together here, or this very file would be found.
  paths: {
    plant: () => plant('docs/lost.md', `See ${['', 'home', 'ann', 'notes'].join('/')}.\n`),
    told: ['docs/lost.md:1'],
  },
  sql: {
    plant: () =>
      plant('packages/runtime/migrations/9999_lazy.sql', '-- select * is fine here\nselect t.* from t;\n'),
    told: ['9999_lazy.sql:2: name the columns'],
  },
  types: {
    plant: () => {
      plant('packages/outbox/src/mistyped.ts', "export const x: number = 'one';\n");
      plant('packages/outbox/src/mistyped.test.ts', "export const x: number = 'two';\n");
    },
    told: ['packages/outbox/src/mistyped.ts', 'packages/outbox/src/mistyped.test.ts'],
  },
  lint: {
    plant: () => {
      plant('packages/runtime/src/log/floating.ts', 'export async function x(): Promise<void> {}\nx();\n');
      plant(
        'packages/runtime/src/log/upwards.ts',
        "import { x } from '../worker/x.ts';\nexport const y = x;\n",
      );
      plant('packages/runtime/src/log/long.ts', `export const x = [\n${'  1,\n'.repeat(400)}];\n`);
    },
    told: ['no-floating-promises', 'log/ (floor 4) must not import worker/ (floor 6)', 'too many lines'],
  },
  'dead-code': {
    plant: () => plant('packages/runtime/src/log/forgotten.ts', 'export const forgotten = 1;\n'),
    told: ['packages/runtime/src/log/forgotten.ts'],
  },
  generated: {
    plant: () => edit('docs/reference/errors.md', 'ER1001', 'ER1000'),
    told: ['docs/reference/errors.md is not fresh'],
  },
  packages: {
    plant: () =>
      edit('packages/server/package.json', '"exports": {', '"exports": { "./lost": "./dist/lost.js",'),
    told: ['event-runtime: dist/lost.js is missing'],
  },
};

beforeAll(async () => {
  copy = mkdtempSync(join(tmpdir(), 'event-runtime-check-'));
  await copyTree();
  for (const fault of Object.values(faults)) fault.plant();
});

afterAll(() => {
  rmSync(copy, { recursive: true, force: true });
});

test('every step has a planted fault here', () => {
  expect(Object.keys(faults)).toEqual(steps.map(({ name }) => name));
});

// In their order: `types` builds what the later ones read.
test.each(steps)('$name turns red for its fault', async ({ name, run }) => {
  const report = (await run(copy)).join('\n');
  for (const told of faults[name]!.told) expect(report).toContain(told);
});
