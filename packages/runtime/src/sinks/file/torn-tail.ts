import fs from 'node:fs';
import type { FileHandle } from 'node:fs/promises';

const lineFeed = 0x0a;
const blockBytes = 64 * 1024;

/**
 * Cuts off what stands behind the last `\n`: the line that a crash left half written. Durable when it returns.
 *
 * @param requireLease throws when what stands there may be another's, who is writing it
 * @returns how many bytes were cut
 */
export async function cutTornTail(file: FileHandle, requireLease: () => void): Promise<number> {
  const { size } = await file.stat();
  const end = await endOfLastLine(file, size);
  if (end === size) return 0;
  requireLease();
  fs.ftruncateSync(file.fd, end);
  await file.sync();
  return size - end;
}

async function endOfLastLine(file: FileHandle, size: number): Promise<number> {
  const block = Buffer.alloc(blockBytes);
  for (let end = size; end > 0; end -= blockBytes) {
    const start = Math.max(0, end - blockBytes);
    const { bytesRead } = await file.read(block, 0, end - start, start);
    const at = block.subarray(0, bytesRead).lastIndexOf(lineFeed);
    if (at !== -1) return start + at + 1;
  }
  return 0;
}
