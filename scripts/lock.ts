/**
 * Writes package-lock.json under the repository's own Node and leaves the `engines` fields out of it.
 *
 * Why: the first `npm ci` on a machine runs under whatever Node that machine has; every script after it
 * runs under the `node` dev dependency. npm checks `engines` (as copied into the lock file) against the
 * former, so it would warn about a Node that nothing here uses.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

interface Lock {
  packages: Record<string, { engines?: unknown }>;
}

const file = new URL('../package-lock.json', import.meta.url);
if (!process.argv.includes('--strip-only')) {
  execFileSync('npm', ['install', ...process.argv.slice(2)], { stdio: 'inherit' });
}
const lock = JSON.parse(readFileSync(file, 'utf8')) as Lock;
for (const entry of Object.values(lock.packages)) delete entry.engines;
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
