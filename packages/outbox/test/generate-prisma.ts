import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const resolve = createRequire(import.meta.url).resolve;

/**
 * Generates Prisma's client from test/schema.prisma, without a network: PostgreSQL through
 * @prisma/adapter-pg needs no engine binary, so the one that the command asks for may be anything.
 *
 * @param name a directory below `.generated`, so that test files do not write over each other
 * @returns the path of the generated `client.ts`
 */
export async function generatePrisma(name: string): Promise<string> {
  const directory = fileURLToPath(new URL(`../.generated/${name}/`, import.meta.url));
  await mkdir(directory, { recursive: true });
  const schema = `${directory}schema.prisma`;
  await writeFile(schema, await readFile(new URL('schema.prisma', import.meta.url), 'utf8'));
  const command = resolve('prisma/build/index.js');
  await promisify(execFile)(process.execPath, [command, 'generate', '--schema', schema], {
    cwd: directory,
    env: {
      ...process.env,
      PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
      PRISMA_HIDE_UPDATE_MESSAGE: '1',
      CHECKPOINT_DISABLE: '1',
    },
  });
  return `${directory}prisma/client.ts`;
}
