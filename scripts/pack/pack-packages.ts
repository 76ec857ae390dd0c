import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../process/command.ts';

/** Folders of the packages that are published, in the order of their dependencies. */
const publishable = ['outbox', 'runtime', 'server'] as const;

export interface Packed {
  readonly name: string;
  readonly version: string;
  /** Path of the .tgz. */
  readonly tarball: string;
  /** What is in it, below `package/`, sorted. */
  readonly files: readonly string[];
  /** Its package.json as published. */
  readonly manifest: Readonly<Record<string, unknown>>;
}

interface Manifest extends Record<string, unknown> {
  readonly name: string;
  readonly version: string;
}

async function readManifest(file: string): Promise<Manifest> {
  return JSON.parse(await readFile(file, 'utf8')) as Manifest;
}

/**
 * Removes from an unpacked package what an earlier build left in `dist`: `tsc -b` writes, and never deletes.
 * A built file whose source is gone must not be published.
 */
async function removeStale(unpacked: string, sources: string): Promise<void> {
  const dist = join(unpacked, 'dist');
  if (!existsSync(dist)) throw new Error('there is no dist folder: build first (`npm run build`)');
  for (const name of await readdir(dist, { recursive: true })) {
    const built = /^(.+?)\.(js|d\.ts)(\.map)?$/.exec(name);
    if (built?.[1] === undefined) continue;
    if (!existsSync(join(sources, `${built[1]}.ts`))) await rm(join(dist, name));
  }
}

/**
 * Packs a package as it is published: npm's own choice of files, less stale ones, with the licence, and with
 * the workspace's `engines` where the package has none. (In the checkout it has none: npm would check it
 * against the Node that installs, and the checkout brings the Node that it runs on.)
 */
async function pack(root: string, name: string, into: string): Promise<Packed> {
  const source = join(root, 'packages', name);
  const work = join(into, name);
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true });
  const flags = ['pack', '--silent', '--ignore-scripts', '--pack-destination'];
  const raw = (await run('npm', [...flags, work], { cwd: source, timeoutMs: 60_000 })).trim();
  await run('tar', ['-xzf', join(work, raw), '-C', work], { timeoutMs: 60_000 });
  await rm(join(work, raw));

  const unpacked = join(work, 'package');
  await removeStale(unpacked, join(source, 'src'));
  if (!existsSync(join(unpacked, 'LICENSE')))
    await copyFile(join(root, 'LICENSE'), join(unpacked, 'LICENSE'));
  const { engines } = await readManifest(join(root, 'package.json'));
  const manifest = { engines, ...(await readManifest(join(unpacked, 'package.json'))) };
  await writeFile(join(unpacked, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  const packed = (await run('npm', [...flags, work], { cwd: unpacked, timeoutMs: 60_000 })).trim();
  const tarball = join(into, packed);
  await rename(join(work, packed), tarball);
  await rm(work, { recursive: true, force: true });

  const listing = await run('tar', ['-tzf', tarball], { timeoutMs: 60_000 });
  const files = listing
    .split('\n')
    .filter((line) => line !== '' && !line.endsWith('/'))
    .map((line) => line.replace(/^package\//, ''))
    .toSorted();
  return { name: manifest.name, version: manifest.version, tarball, files, manifest };
}

/** Packs every publishable package of a checkout into a folder. */
export async function packAll(options: {
  readonly root: string;
  readonly into: string;
}): Promise<readonly Packed[]> {
  const packed: Packed[] = [];
  for (const name of publishable) packed.push(await pack(options.root, name, options.into));
  return packed;
}
