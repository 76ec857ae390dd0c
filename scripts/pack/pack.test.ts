import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../process/command.ts';
import { objections } from './contents.ts';
import { type Packed, packAll } from './pack-packages.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'event-runtime-pack-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('the real packages', () => {
  let packed: readonly Packed[] = [];
  const of = (name: string): Packed => packed.find((one) => one.name === name)!;

  beforeAll(async () => {
    const into = join(folder, 'real');
    mkdirSync(into);
    packed = await packAll({ root: join(import.meta.dirname, '../..'), into });
  });

  test('hold what they need and nothing of the workshop', () => {
    expect(packed.map(({ name }) => name)).toEqual([
      '@event-runtime/outbox',
      '@event-runtime/runtime',
      'event-runtime',
    ]);
    expect(packed.flatMap(objections)).toEqual([]);
    for (const { files } of packed) {
      expect(files.filter((file) => /(^|\/)src\/|\.(test|suite)\.|tsbuildinfo/.test(file))).toEqual([]);
      expect(files).toContain('LICENSE');
    }
  });

  test('say which Node they need', () => {
    expect(of('@event-runtime/outbox').manifest['engines']).toEqual({ node: '>=20.19.0' });
    const engine = { node: '^22.22.0 || ^24.6.0 || >=26.0.0' };
    expect(of('@event-runtime/runtime').manifest['engines']).toEqual(engine);
    expect(of('event-runtime').manifest['engines']).toEqual(engine);
  });

  test('the producer package has no dependency', () => {
    expect(of('@event-runtime/outbox').manifest).not.toHaveProperty('dependencies');
  });

  test('what is exported can be loaded from them, the suite for sinks too', async () => {
    // In the checkout, so that what they depend on is found; in none of its packages, whose own name would lead to itself.
    const app = join(import.meta.dirname, '../.generated/packed');
    rmSync(app, { recursive: true, force: true });
    for (const { name, tarball } of packed) {
      const into = join(app, 'node_modules', name);
      mkdirSync(into, { recursive: true });
      await run('tar', ['-xzf', tarball, '-C', into, '--strip-components=1'], { timeoutMs: 60_000 });
    }
    const script = `
      const found = [];
      for (const name of ['@event-runtime/outbox', '@event-runtime/runtime', '@event-runtime/runtime/testing', 'event-runtime']) {
        const url = import.meta.resolve(name);
        const names = Object.keys(await import(url));
        found.push({ name, packed: url.includes('/.generated/packed/'), some: names.length > 0, suite: names.includes('sinkConformance') });
      }
      console.log(JSON.stringify(found));`;
    writeFileSync(join(app, 'load.mjs'), script);
    const said = await run(process.execPath, ['load.mjs'], { cwd: app, timeoutMs: 120_000 });
    const rest = { packed: true, some: true };
    expect(JSON.parse(said)).toEqual([
      { name: '@event-runtime/outbox', ...rest, suite: false },
      { name: '@event-runtime/runtime', ...rest, suite: false },
      { name: '@event-runtime/runtime/testing', ...rest, suite: true },
      { name: 'event-runtime', ...rest, suite: false },
    ]);
  });

  test('the runtime brings its migrations, the service its command', () => {
    expect(
      of('@event-runtime/runtime').files.filter((file) => /^migrations\/\d{4}_\w+\.sql$/.test(file)),
    ).not.toEqual([]);
    expect(of('event-runtime').files).toContain('bin/event-runtime.js');
    expect(of('event-runtime').manifest['bin']).toEqual({
      er: './bin/event-runtime.js',
      'event-runtime': './bin/event-runtime.js',
    });
  });
});

test('what an earlier build left behind is not packed', async () => {
  const root = join(folder, 'workspace');
  const write = (file: string, text: string): void => {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  };
  write('LICENSE', 'terms\n');
  write('package.json', '{ "engines": { "node": ">=22" } }');
  for (const name of ['outbox', 'runtime', 'server']) {
    write(
      `packages/${name}/package.json`,
      JSON.stringify({ name, version: '1.0.0', files: ['dist'], exports: './dist/a.js' }),
    );
    write(`packages/${name}/src/a.ts`, '');
    for (const built of ['a.js', 'a.d.ts', 'a.js.map', 'gone.js', 'gone.d.ts.map', 'room/gone.js']) {
      write(`packages/${name}/dist/${built}`, '');
    }
  }
  const [first] = await packAll({ root, into: folder });
  expect(first?.files).toEqual(['LICENSE', 'dist/a.d.ts', 'dist/a.js', 'dist/a.js.map', 'package.json']);
  expect(first?.manifest['engines']).toEqual({ node: '>=22' });
});

test.each<[string, Partial<Packed>, string]>([
  ['source', { files: ['package.json', 'LICENSE', 'dist/a.js', 'src/a.ts'] }, 'src/a.ts is source'],
  ['a test', { files: ['package.json', 'LICENSE', 'dist/a.js', 'dist/a.test.js'] }, 'dist/a.test.js is test'],
  ['build state', { files: ['package.json', 'LICENSE', 'dist/a.js', 'dist/.tsbuildinfo'] }, 'is build state'],
  ['a missing entry', { files: ['package.json', 'LICENSE'] }, 'dist/a.js is missing'],
  ['no licence', { files: ['package.json', 'dist/a.js'] }, 'LICENSE is missing'],
  ['no engines', { manifest: {} }, 'does not say which Node'],
])('%s in a package is told', (_what, change, told) => {
  const good: Packed = {
    name: 'a',
    version: '1.0.0',
    tarball: 'a.tgz',
    files: ['package.json', 'LICENSE', 'dist/a.js'],
    manifest: { engines: { node: '>=22' }, exports: { '.': { default: './dist/a.js' } } },
  };
  expect(objections(good)).toEqual([]);
  expect(objections({ ...good, ...change }).join('\n')).toContain(told);
});
