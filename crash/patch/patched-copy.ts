import { existsSync } from 'node:fs';
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { instrument } from './failpoint-marks.ts';
import { applyPatch, type Patch } from './patch.ts';

export interface PatchedCopy extends AsyncDisposable {
  /** The program as a user starts it, from the copy. */
  readonly program: string;
  /** Names of all failpoints that were found, sorted. */
  readonly failpoints: readonly string[];
}

export interface PatchedCopyOptions {
  /** The checkout, built. */
  readonly root: string;
  readonly patches?: readonly Patch[];
}

const hookFile = 'failpoint-hook.ts';

/** What of a package a process needs. */
const parts = ['package.json', 'dist', 'bin', 'migrations', 'node_modules'];

/**
 * Copies the built packages into a temporary folder, patches the copy, and puts calls where failpoints are marked.
 * The product knows nothing of either. Removed at dispose.
 *
 * @throws Error when it is not built, or a patch does not apply exactly once
 */
export async function patchedCopy(options: PatchedCopyOptions): Promise<PatchedCopy> {
  const folder = await mkdtemp(join(tmpdir(), 'event-runtime-crash-'));
  try {
    await copyPackages(options.root, folder);
    await applyAll(folder, options.patches ?? []);
    const failpoints = await instrumentAll(folder);
    return {
      program: join(folder, 'packages/server/bin/event-runtime.js'),
      failpoints,
      [Symbol.asyncDispose]: () => remove(folder),
    };
  } catch (cause) {
    await remove(folder);
    throw cause;
  }
}

async function remove(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
}

async function copyPackages(root: string, folder: string): Promise<void> {
  const packages = (await readdir(join(root, 'packages'), { withFileTypes: true })).filter((entry) =>
    entry.isDirectory(),
  );
  for (const { name } of packages) {
    const from = join(root, 'packages', name);
    const to = join(folder, 'packages', name);
    if (!existsSync(join(from, 'dist'))) throw new Error(`packages/${name} is not built: npm run build`);
    await mkdir(to, { recursive: true });
    for (const part of parts.filter((each) => existsSync(join(from, each)))) {
      if (part === 'node_modules') await symlink(join(from, part), join(to, part));
      else await cp(join(from, part), join(to, part), { recursive: true });
    }
  }
  await copyFile(join(import.meta.dirname, hookFile), join(folder, hookFile));
  await linkModules(root, folder);
}

/** Third-party modules stay where they are; ours are the copies. */
async function linkModules(root: string, folder: string): Promise<void> {
  const from = join(root, 'node_modules');
  const to = join(folder, 'node_modules');
  await mkdir(join(to, '@event-runtime'), { recursive: true });
  for (const name of await readdir(from)) {
    if (name !== '@event-runtime' && name !== 'event-runtime')
      await symlink(join(from, name), join(to, name));
  }
  await symlink(join(folder, 'packages/server'), join(to, 'event-runtime'));
  for (const name of await readdir(join(folder, 'packages'))) {
    if (name !== 'server') await symlink(join(folder, 'packages', name), join(to, '@event-runtime', name));
  }
}

async function applyAll(folder: string, patches: readonly Patch[]): Promise<void> {
  for (const [file, text] of await patchedTexts(folder, patches)) await writeFile(file, text);
}

/**
 * What patches make of the files of a built checkout, by path; nothing is written.
 *
 * @throws Error when a patch does not apply exactly once
 */
export async function patchedTexts(
  root: string,
  patches: readonly Patch[],
): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>();
  for (const patch of patches) {
    const file = join(root, 'packages', patch.file);
    texts.set(file, applyPatch(texts.get(file) ?? (await readFile(file, 'utf8')), patch));
  }
  return texts;
}

/** @returns the names, sorted, each once */
async function instrumentAll(folder: string): Promise<string[]> {
  const found = new Set<string>();
  for (const name of await readdir(join(folder, 'packages'))) {
    const dist = join(folder, 'packages', name, 'dist');
    const files = (await readdir(dist, { recursive: true })).filter((path) => path.endsWith('.js'));
    for (const path of files) {
      const file = join(dist, path);
      const specifier = relative(dirname(file), join(folder, hookFile)).replaceAll('\\', '/');
      const { text, failpoints } = instrument(await readFile(file, 'utf8'), specifier);
      if (failpoints.length > 0) await writeFile(file, text);
      for (const failpoint of failpoints) found.add(failpoint);
    }
  }
  return [...found].toSorted();
}
