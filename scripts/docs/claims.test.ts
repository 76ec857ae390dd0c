import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { dayPartitionedTables } from '../../packages/runtime/src/schema/partition-catalog.ts';

const root = join(import.meta.dirname, '..', '..');
const text = (path: string): string => readFileSync(join(root, path), 'utf8');

test('each test that guards a promise is there', () => {
  const promises = text('docs/architecture.md').split('\n## Promises\n')[1] ?? '';
  const tests = [...promises.matchAll(/`([\w/.-]+\.(?:test|suite)\.ts)`/g)].map(([, path = '']) => path);
  expect(tests.length).toBeGreaterThan(20);
  const places = ['packages/runtime/src', 'packages', '.'];
  const missing = tests.filter((path) => !places.some((place) => existsSync(join(root, place, path))));
  expect(missing).toEqual([]);
});

test('as many migrations as are told of', () => {
  const count = globSync('packages/runtime/migrations/*.sql', { cwd: root }).length;
  expect(count).toBeGreaterThan(1);
  expect(text('docs/guides/dev.md')).toContain(`event_runtime v${count}, ${count} migrations applied now`);
  expect(text('CHANGELOG.md')).toContain(`migrations 1 to ${count},`);
});

test('statements about partitions are about all of them', () => {
  const asked = [...text('docs/operations/README.md').matchAll(/unnest\(array\[(.*?)\]\) as t\(name\)/g)];
  expect(asked).toHaveLength(2);
  for (const [, names = ''] of asked) {
    expect(names.split(', ').toSorted()).toEqual(dayPartitionedTables.map((name) => `'${name}'`).toSorted());
  }
});

test('each room of the runtime stands on its floor in the pages', () => {
  const rooms = readdirSync(join(root, 'packages/runtime/src'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  expect(rooms.length).toBeGreaterThan(10);
  for (const [page, title] of [
    ['CONTRIBUTING.md', 'Floors'],
    ['docs/architecture.md', 'Rooms and floors'],
  ] as const) {
    const [chapter = ''] = (text(page).split(`\n## ${title}\n`)[1] ?? '').split('\n## ');
    const told = chapter.split('\n').filter((line) => /^\| \d \|/.test(line));
    const missing = rooms.filter((name) => !told.some((line) => line.includes(`\`${name}\``)));
    expect(missing, page).toEqual([]);
  }
});

test('each benchmark is told of where one is shown how to measure', () => {
  const names = globSync('bench/*.ts', { cwd: root }).flatMap((file) =>
    [...text(file).matchAll(/: Bench = \{\s+name: '([\w-]+)'/g)].map(([, name = '']) => name),
  );
  expect(names.length).toBeGreaterThan(4);
  for (const page of ['CONTRIBUTING.md', 'docs/performance.md']) {
    const missing = names.filter((name) => !new RegExp(`npm run bench.*\\b${name}\\b`).test(text(page)));
    expect(missing, page).toEqual([]);
  }
});
