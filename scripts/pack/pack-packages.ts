import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
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
 * What npm would publish of a package as it lies in the checkout, unpacked into a folder and made fit: less stale files,
 * with the licence, and with the workspace's `engines` where the package has none. (In the checkout it has none: npm
 * would check it against the Node that installs, and the checkout brings the Node that it runs on.)
 *
 * @returns its manifest
 */
async function prepare(
  root: string,
  { name, raw, into }: { readonly name: string; readonly raw: string; readonly into: string },
): Promise<Manifest> {
  await mkdir(into, { recursive: true });
  await run('tar', ['-xzf', raw, '-C', into, '--strip-components=1'], { timeoutMs: 60_000 });
  await removeStale(into, join(root, 'packages', name, 'src'));
  if (!existsSync(join(into, 'LICENSE'))) await copyFile(join(root, 'LICENSE'), join(into, 'LICENSE'));
  const { engines } = await readManifest(join(root, 'package.json'));
  const manifest = { engines, ...(await readManifest(join(into, 'package.json'))) };
  await writeFile(join(into, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  return manifest;
}

/** npm's tarballs of some folders, in their order: all by one npm, which takes longer to start than to pack. */
async function npmPack(
  cwd: string,
  { folders, into }: { readonly folders: readonly string[]; readonly into: string },
): Promise<readonly string[]> {
  const flags = ['pack', '--silent', '--ignore-scripts', '--pack-destination', into];
  const said = await run('npm', [...flags, ...folders.map((folder) => `./${folder}`)], {
    cwd,
    timeoutMs: 120_000,
  });
  const files = said.trim().split('\n');
  if (files.length !== folders.length)
    throw new Error(`npm packed ${files.join(', ')} of ${folders.join(', ')}`);
  return files.map((file) => join(into, file.trim()));
}

/**
 * Packs every publishable package of a checkout into a folder, as it is published: npm's own choice of files, made fit
 * by {@link prepare}.
 */
export async function packAll({
  root,
  into,
}: {
  readonly root: string;
  readonly into: string;
}): Promise<readonly Packed[]> {
  const work = await mkdtemp(join(into, 'unpacked-'));
  const raw = await npmPack(root, { folders: publishable.map((name) => `packages/${name}`), into: work });
  const manifests: Manifest[] = [];
  for (const [index, name] of publishable.entries()) {
    manifests.push(await prepare(root, { name, raw: raw[index] ?? '', into: join(work, name) }));
  }
  const tarballs = await npmPack(work, { folders: publishable, into });
  await rm(work, { recursive: true, force: true });
  const packed: Packed[] = [];
  for (const [index, manifest] of manifests.entries()) {
    const { name, version } = manifest;
    const tarball = tarballs[index] ?? '';
    packed.push({ name, version, tarball, files: await contentsOf(tarball), manifest });
  }
  return packed;
}

/** Paths below `package/`, sorted. */
async function contentsOf(tarball: string): Promise<readonly string[]> {
  const listing = await run('tar', ['-tzf', tarball], { timeoutMs: 60_000 });
  return listing
    .split('\n')
    .filter((line) => line !== '' && !line.endsWith('/'))
    .map((line) => line.replace(/^package\//, ''))
    .toSorted();
}
