import { access, chmod, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../process/command.ts';
import { unpackDebian } from './debian-package.ts';
import type { Service, Way } from './service.ts';

/** Older ones cannot dump the oldest server of the tests. */
const floor = 15;

/** The version that the distribution has; `pg_restore` and `pg_recvlogical` come with it, beside it. */
const debian: Way = {
  name: 'Debian package postgresql-client',
  async obtain(folder) {
    const policy = await run('apt-cache', ['policy', 'postgresql-client'], { timeoutMs: 15_000 });
    const major = /Candidate: (\d+)/.exec(policy)?.[1];
    if (major === undefined) throw new Error('this distribution has none');
    const unpacked = join(folder, 'unpacked');
    await unpackDebian([`postgresql-client-${major}`, 'libpq5'], unpacked);
    const programs = join(unpacked, 'usr', 'lib', 'postgresql', major, 'bin');
    const libraries = join(unpacked, 'usr', 'lib');
    const folders = [libraries, ...(await readdir(libraries)).map((name) => join(libraries, name))];
    for (const program of ['pg_dump', 'pg_restore', 'pg_recvlogical']) {
      await access(join(programs, program));
      const path = join(folder, 'bin', program);
      const script = [
        '#!/bin/sh',
        `LD_LIBRARY_PATH="${folders.join(':')}\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"`,
        'export LD_LIBRARY_PATH',
        `exec "${join(programs, program)}" "$@"`,
      ];
      await writeFile(path, `${script.join('\n')}\n`);
      await chmod(path, 0o755);
    }
    return join(folder, 'bin', 'pg_dump');
  },
};

export const pgClient: Service = {
  name: 'pg-client',
  program: 'pg_dump',
  variable: 'EVENT_RUNTIME_PG_DUMP',
  wanted: `>= ${floor}, with pg_restore beside it`,
  purpose: 'tests of restored dumps (tests named [needs pg_dump])',
  async check(path) {
    const version = /(\d+)(?:\.\d+)?/.exec(await run(path, ['--version'], { timeoutMs: 10_000 }));
    if (version === null) throw new Error('it does not tell its version');
    if (Number(version[1]) < floor) throw new Error(`${version[0]} is too old`);
    await access(join(path, '..', 'pg_restore'));
    return version[0];
  },
  ways: [debian],
};
