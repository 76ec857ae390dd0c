import { copyFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../process/command.ts';
import type { Service, Way } from './service.ts';
import { atLeast, versionIn } from './version.ts';

const floor = [20, 19, 0] as const;
const packed = '20.20.2';

/** npm carries the program itself in a package per platform; it is packed and unpacked, not installed. */
const npm: Way = {
  name: 'npm package',
  async obtain(folder) {
    const platform = `${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
    const work = join(folder, 'unpacked');
    const program = join(folder, 'bin', 'node');
    await rm(work, { recursive: true, force: true });
    try {
      await run('mkdir', ['-p', work], { timeoutMs: 5_000 });
      const flags = ['--silent', '--fetch-retries=0', '--fetch-timeout=60000', '--pack-destination', work];
      await run('npm', ['pack', `node-${platform}@${packed}`, ...flags], { timeoutMs: 180_000 });
      const file = (await readdir(work)).find((name) => name.endsWith('.tgz'));
      if (file === undefined) throw new Error('nothing was downloaded');
      await run('tar', ['-xzf', join(work, file), '-C', work], { timeoutMs: 60_000 });
      await copyFile(join(work, 'package', 'bin', 'node'), program);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
    return program;
  },
};

export const node20: Service = {
  name: 'node20',
  program: 'node',
  variable: 'EVENT_RUNTIME_NODE20',
  wanted: `20.x >= ${floor.join('.')}`,
  purpose: 'tests of the producer package on the oldest Node that it supports',
  async check(path) {
    const version = versionIn(await run(path, ['--version'], { timeoutMs: 10_000 }));
    if (version === undefined) throw new Error('it does not tell its version');
    if (version[0] !== floor[0] || !atLeast(version, floor)) throw new Error(`it is ${version.join('.')}`);
    return version.join('.');
  },
  ways: [npm],
};
