import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a run's databases need at most, with room to spare. */
const roomBytes = 8 * 1_024 ** 3;

/**
 * A new folder in memory for a run's temporary files; undefined where the system has none with enough room, or none
 * that programs can be started from. Tests make and drop hundreds of databases of 1,500 files each, and ext4 searches
 * longer and longer for an inode that was not freed just now: in memory a run takes half the time.
 *
 * @param parent where Linux keeps its memory file system
 */
export function memoryFolder(parent: string = '/dev/shm', room: number = roomBytes): string | undefined {
  let folder: string | undefined;
  try {
    const { bavail, bsize } = statfsSync(parent);
    if (bavail * bsize < room) return undefined;
    folder = mkdtempSync(join(parent, 'event-runtime-test-'));
    // Servers that may not run as root run as somebody else; as open as the folder that it takes the place of.
    chmodSync(folder, 0o1777);
    const program = join(folder, 'program');
    writeFileSync(program, '#!/bin/sh\nexit 0\n', { mode: 0o755 });
    // Containers often forbid it there.
    if (spawnSync(program).status === 0) {
      rmSync(program);
      return folder;
    }
  } catch {
    // There is none, or it is not ours to write.
  }
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  return undefined;
}
