import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const source = new URL('.', import.meta.url).pathname;

test('the package has no runtime dependency of any kind', () => {
  const manifest = JSON.parse(readFileSync(join(source, '../package.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  for (const kind of ['dependencies', 'peerDependencies', 'optionalDependencies', 'bundledDependencies']) {
    expect(manifest[kind]).toBeUndefined();
  }
  expect(manifest['engines']).toEqual({ node: '>=20.19.0' });
});

test('what is published imports relative paths and node: only', () => {
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.ts') && !/\.(test|suite)\.ts$/.test(file),
  );
  expect(files.length).toBeGreaterThan(10);
  const foreign = files.flatMap((file) =>
    [
      ...readFileSync(join(source, file), 'utf8').matchAll(
        /\b(?:from|import|import\(|require\()\s*'([^']+)'/g,
      ),
    ]
      .map(([, target = '']) => target)
      .filter((target) => !/^\.{1,2}\//.test(target) && !target.startsWith('node:'))
      .map((target) => `${file}: ${target}`),
  );
  // An import in the doc comment of the Drizzle adapter is prose.
  expect(foreign.filter((each) => each !== 'adapters/drizzle.ts: drizzle-orm')).toEqual([]);
});
