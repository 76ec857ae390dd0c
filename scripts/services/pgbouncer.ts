import { chmod, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../process/command.ts';
import { unpackDebian } from './debian-package.ts';
import type { Service, Way } from './service.ts';
import { atLeast, versionIn } from './version.ts';

/** SCRAM between client, pooler and server. */
const floor = [1, 14, 0] as const;

/** A program and its libraries in one folder, behind a script that tells it where they are. */
async function wrapped(folder: string, program: string): Promise<string> {
  const path = join(folder, 'bin', 'pgbouncer');
  const libraries = await libraryFolders(folder);
  const script = [
    '#!/bin/sh',
    `LD_LIBRARY_PATH="${libraries.join(':')}\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"`,
    'export LD_LIBRARY_PATH',
    `exec "${program}" "$@"`,
  ];
  await writeFile(path, `${script.join('\n')}\n`);
  await chmod(path, 0o755);
  return path;
}

async function libraryFolders(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const found = entries.filter((entry) => entry.name.includes('.so.')).map((entry) => entry.parentPath);
  return [...new Set(found)];
}

const debian: Way = {
  name: 'Debian package pgbouncer',
  async obtain(folder) {
    const unpacked = join(folder, 'unpacked');
    const program = join(unpacked, 'usr', 'sbin', 'pgbouncer');
    await unpackDebian(['pgbouncer'], unpacked);
    const missing = await missingLibraries(program);
    if (missing.length > 0) {
      await unpackDebian(['pgbouncer', ...missing], unpacked);
    }
    return await wrapped(folder, program);
  },
};

/** Which package has a library, by the name that the loader looks for. */
const packages: Readonly<Record<string, string>> = {
  'libcares.so.2': 'libc-ares2',
  'libevent-2.1.so.7': 'libevent-2.1-7',
};

async function missingLibraries(program: string): Promise<string[]> {
  const lines = (await run('ldd', [program], { timeoutMs: 10_000 })).split('\n');
  const names = lines
    .filter((line) => line.includes('not found'))
    .map((line) => line.trim().split(' ')[0] ?? '');
  return names.map((name) => {
    const known = packages[name];
    if (known === undefined) throw new Error(`this machine lacks ${name}`);
    return known;
  });
}

export const pgbouncer: Service = {
  name: 'pgbouncer',
  program: 'pgbouncer',
  variable: 'EVENT_RUNTIME_PGBOUNCER',
  wanted: `>= ${floor.join('.')}`,
  purpose: 'tests of producers and refusals behind a pooler (tests named [needs pgbouncer])',
  async check(path) {
    const version = versionIn(await run(path, ['--version'], { timeoutMs: 20_000 }));
    if (version === undefined) throw new Error('it does not tell its version');
    if (!atLeast(version, floor)) throw new Error(`${version.join('.')} is too old`);
    return version.join('.');
  },
  ways: [debian],
};
