import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { longest, longestFirst } from './longest-first.ts';

test.each(longest)('%s is there', (file) => {
  expect(existsSync(join(import.meta.dirname, '../..', file))).toBe(true);
});

test('the longest begin, in their order; the others stay as they are', () => {
  const [first, second] = longest;
  const files = ['/w/b.test.ts', `/w/${second}`, '/w/a.test.ts', `/w/${first}`, `/w/not-${first}`];
  expect(longestFirst(files, (file) => file)).toEqual([
    ...[`/w/${first}`, `/w/${second}`],
    ...['/w/b.test.ts', '/w/a.test.ts', `/w/not-${first}`],
  ]);
});
