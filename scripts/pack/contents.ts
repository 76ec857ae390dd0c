import type { Packed } from './pack-packages.ts';

/** What must not be in a published package, and why. */
const unwanted: readonly (readonly [RegExp, string])[] = [
  [/^src\//, 'source'],
  [/\.(test|suite|bench)\./, 'test'],
  [/\.tsbuildinfo$/, 'build state'],
  [/(^|\/)(fixtures|node_modules|\.generated|\.tools)\//, 'development only'],
  [/^tsconfig/, 'configuration'],
];

/** Every path that a package.json names as an entry: exports, bin, main, types. */
function entries(value: unknown): string[] {
  if (typeof value === 'string') return value.startsWith('./') ? [value.slice(2)] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(entries);
}

/** What is wrong with the content of a packed package; empty when nothing is. */
export function objections(packed: Packed): string[] {
  const found: string[] = [];
  for (const file of packed.files) {
    for (const [pattern, what] of unwanted) {
      if (pattern.test(file)) found.push(`${packed.name}: ${file} is ${what}, and would be published`);
    }
  }
  for (const file of [
    'package.json',
    'LICENSE',
    ...entries(packed.manifest['exports']),
    ...entries(packed.manifest['bin']),
  ]) {
    if (!packed.files.includes(file)) found.push(`${packed.name}: ${file} is missing`);
  }
  const engines = packed.manifest['engines'];
  if (typeof engines !== 'object' || engines === null || !('node' in engines)) {
    found.push(`${packed.name}: package.json does not say which Node it needs`);
  }
  return found;
}
