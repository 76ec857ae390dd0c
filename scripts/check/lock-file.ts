import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

interface Lock {
  readonly packages?: Readonly<Record<string, { readonly engines?: unknown; readonly resolved?: unknown }>>;
}

/**
 * The lock file names no host, so that everybody installs from where they are set up to, and no `engines`:
 * npm would check them against the Node of the machine, and the checkout brings the Node that it runs on.
 */
export async function lockFile(root: string): Promise<readonly string[]> {
  const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as Lock;
  const found: string[] = [];
  for (const [name, { engines, resolved }] of Object.entries(lock.packages ?? {})) {
    if (engines !== undefined) found.push(`${name} has engines`);
    if (typeof resolved === 'string' && /^\w+:/.test(resolved)) found.push(`${name} is resolved to a host`);
  }
  if (found.length === 0) return [];
  return ['package-lock.json was not written by `npm run lock`:', ...found.slice(0, 10)];
}
