import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { generatePrisma } from '../test/generate-prisma.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const guides = ['docs/guides/emit.md'];
const compiler = createRequire(import.meta.url).resolve('typescript/package.json');

/** The TypeScript blocks of a guide whose first line is a comment with their path. */
async function snippets(guide: string): Promise<Array<{ path: string; text: string }>> {
  const markdown = await readFile(join(root, guide), 'utf8');
  const blocks = [...markdown.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, text = '']) => text);
  return blocks.map((text) => {
    const path = /^\/\/ (src\/[\w./-]+\.ts)\n/.exec(text)?.[1];
    if (path === undefined) throw new Error(`${guide}: a block has no path:\n${text}`);
    return { path, text };
  });
}

test('the guide compiles as it stands, and the types refuse what they should', async () => {
  const client = await generatePrisma('types');
  const directory = dirname(dirname(client));
  await cp(join(root, 'packages/outbox/test/fixtures/types.ts'), join(directory, 'types.ts'));
  const seen = new Set<string>();
  for (const guide of guides) {
    for (const { path, text } of await snippets(guide)) {
      expect(seen, 'each path once').not.toContain(path);
      seen.add(path);
      await mkdir(dirname(join(directory, path)), { recursive: true });
      await writeFile(join(directory, path), text);
    }
  }
  expect(seen.size).toBeGreaterThan(3);
  await mkdir(join(directory, 'src/generated/prisma'), { recursive: true });
  const reexport = "export * from '../../../prisma/client.ts';\n";
  await writeFile(join(directory, 'src/generated/prisma/client.ts'), reexport);
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
      paths: { '@event-runtime/outbox': [join(root, 'packages/outbox/src/index.ts')] },
    },
    files: ['types.ts', ...seen],
  };
  await writeFile(join(directory, 'tsconfig.json'), JSON.stringify(configuration));
  const tsc = join(dirname(compiler), 'bin/tsc');
  const answer = await promisify(execFile)(process.execPath, [tsc, '-p', directory]).catch(
    (error: unknown) => error as { stdout: string },
  );
  expect(answer.stdout).toBe('');
});
