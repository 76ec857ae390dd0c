import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { objections } from '../pack/contents.ts';
import { packAll } from '../pack/pack-packages.ts';
import { tool } from './tool.ts';

/** Packs what is published and looks at the tarballs: content, entries, types. */
export async function packages(root: string): Promise<readonly string[]> {
  const into = await mkdtemp(join(tmpdir(), 'event-runtime-pack-'));
  try {
    const found: string[] = [];
    for (const packed of await packAll({ root, into })) {
      found.push(...objections(packed));
      found.push(...(await tool(root, 'publint', ['run', packed.tarball, '--strict'])));
      const flags = ['--profile', 'esm-only', '--no-definitely-typed', '--no-emoji', '--format', 'ascii'];
      found.push(...(await tool(root, 'attw', [packed.tarball, ...flags])));
    }
    return found;
  } finally {
    await rm(into, { recursive: true, force: true });
  }
}
