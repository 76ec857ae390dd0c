/**
 * `npm run generate`: writes the reference pages that are made from the sources.
 * With `--check` it writes nothing, and fails when a committed page is not what would be written.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pages } from './generate/pages.ts';

const root = join(import.meta.dirname, '..');
const check = process.argv.includes('--check');

function current(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

for (const { path, make } of pages) {
  const file = join(root, path);
  const text = make();
  if (current(file) === text) continue;
  if (check) {
    console.error(`${path} is not fresh: run \`npm run generate\` and commit it.`);
    process.exitCode = 1;
  } else {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    console.log(`wrote ${path}`);
  }
}
