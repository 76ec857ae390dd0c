import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { SinkReport } from '@event-runtime/runtime';
import type { ConfiguredFile } from '../config/configured-sink.ts';
import { type Check, ok, warn } from './check.ts';

type File = Pick<ConfiguredFile, 'name' | 'path'>;

/**
 * Whether the folder of each file sink is there, as seen from this machine: the relay may run on another one. So nothing
 * is said of a sink that has everything, for it writes somewhere.
 */
export async function sinkFileChecks(
  files: readonly File[],
  reported: readonly SinkReport[],
): Promise<Check[]> {
  const hasEverything = ({ name }: File): boolean =>
    reported.some(({ sink, unreadEvents }) => sink === name && unreadEvents === 0);
  return await Promise.all(files.filter((file) => !hasEverything(file)).map(sinkFileCheck));
}

async function sinkFileCheck({ name, path }: File): Promise<Check> {
  const folder = dirname(path);
  const about = { code: 'ER4011', name: `sink ${name}` } as const;
  const there = await stat(folder).then(
    (found) => found.isDirectory(),
    // What this user may not look at, the relay's may.
    (error: unknown) => !isMissing(error),
  );
  if (there) return ok({ ...about, seen: `the folder of ${path} is there` });
  return warn({
    ...about,
    seen: `the folder of ${path} is not there, as seen from here`,
    fix: `On the machine where the relay runs: mkdir -p '${folder}', writable for its user; or correct the path of the sink. Events wait in the outbox.`,
  });
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}
