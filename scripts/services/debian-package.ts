import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../process/command.ts';

/**
 * Downloads packages of this machine's own distribution and unpacks them into a folder, without installing them.
 * No more than what is missing: a library that the machine has is not asked for by name.
 *
 * @throws CommandError where there is no apt, no network, or no such package
 */
export async function unpackDebian(names: readonly string[], into: string): Promise<void> {
  await rm(into, { recursive: true, force: true });
  await run('mkdir', ['-p', into], { timeoutMs: 5_000 });
  await run('apt-get', ['download', ...names], { timeoutMs: 90_000, cwd: into });
  for (const file of await readdir(into)) {
    if (file.endsWith('.deb')) await run('dpkg-deb', ['-x', join(into, file), into], { timeoutMs: 30_000 });
  }
}
