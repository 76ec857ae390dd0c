import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../process/command.ts';

/** Every file that is or would be committed: tracked, or new and not ignored. Paths below the root. */
export async function repositoryFiles(root: string): Promise<readonly string[]> {
  const flags = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const listing = await run('git', flags, { cwd: root, timeoutMs: 30_000 });
  return listing.split('\0').filter((file) => file !== '');
}

/** Text of a file; undefined when it is gone or holds a zero byte, which text does not. */
export async function textOf(root: string, file: string): Promise<string | undefined> {
  try {
    const bytes = await readFile(join(root, file));
    return bytes.includes(0) ? undefined : bytes.toString();
  } catch {
    return undefined;
  }
}
