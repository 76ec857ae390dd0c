import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { codeBlocks } from './markdown.ts';

const root = join(import.meta.dirname, '../..');
/** docs/guides/emit.md is compiled by packages/outbox, with Prisma and Drizzle at hand. */
const pages = [
  'README.md',
  'docs/guides/webhooks.md',
  'docs/guides/sinks.md',
  'docs/guides/nats.md',
  'docs/guides/routes.md',
];
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');

test('the programs of the pages compile as they stand', async () => {
  // Below packages/outbox, so that its development dependencies (pg, zod) are found.
  const directory = join(root, 'packages/outbox/.generated/pages');
  await rm(directory, { recursive: true, force: true });
  const files: string[] = [];
  for (const page of pages) {
    for (const text of codeBlocks(await readFile(join(root, page), 'utf8'), 'ts')) {
      const path = /^\/\/ ([\w./-]+\.ts)\n/.exec(text)?.[1];
      if (path === undefined) throw new Error(`${page}: a block does not begin with its path:\n${text}`);
      const file = join(page.replaceAll(/\W/g, '-'), path);
      expect(files, 'each path once in a page').not.toContain(file);
      files.push(file);
      await mkdir(dirname(join(directory, file)), { recursive: true });
      await writeFile(join(directory, file), text);
    }
  }
  expect(files.length).toBeGreaterThanOrEqual(4);
  const configuration = {
    extends: join(root, 'tsconfig.base.json'),
    compilerOptions: {
      noEmit: true,
      composite: false,
      declaration: false,
      declarationMap: false,
      isolatedDeclarations: false,
      allowImportingTsExtensions: true,
      rewriteRelativeImportExtensions: false,
      paths: {
        '@event-runtime/outbox': [join(root, 'packages/outbox/src/index.ts')],
        '@event-runtime/runtime': [join(root, 'packages/runtime/src/index.ts')],
        '@event-runtime/runtime/testing': [join(root, 'packages/runtime/src/testing/index.ts')],
        'event-runtime': [join(root, 'packages/server/src/index.ts')],
      },
    },
    files,
  };
  await writeFile(join(directory, 'tsconfig.json'), JSON.stringify(configuration));
  const answer = await promisify(execFile)(process.execPath, [tsc, '-p', directory]).catch(
    (error: unknown) => error as { stdout: string },
  );
  expect(answer.stdout).toBe('');
});
