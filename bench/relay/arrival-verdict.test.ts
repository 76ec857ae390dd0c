import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { verdictOn } from './file-pair.ts';

const line = (id: string, seq: number, entity: string): string =>
  `${JSON.stringify({ id, seq: String(seq), entitykey: entity }).slice(0, -1)},"data":{}}\n`;

test.each<[string, string[], number, number, number]>([
  ['all, in order', [line('a', 1, 'x'), line('b', 2, 'y'), line('c', 3, 'x')], 0, 0, 0],
  ['one twice', [line('a', 1, 'x'), line('c', 3, 'x'), line('a', 1, 'x'), line('b', 2, 'y')], 0, 0, 1],
  ['one missing', [line('a', 1, 'x'), line('c', 3, 'x')], 1, 0, 0],
  ['one late', [line('c', 3, 'x'), line('a', 1, 'x'), line('b', 2, 'y')], 0, 1, 0],
])('%s: as judged', async (_name, lines, lost, reordered, duplicates) => {
  const folder = await mkdtemp(join(tmpdir(), 'event-runtime-verdict-'));
  try {
    const path = join(folder, 'events.ndjson');
    await writeFile(path, lines.join(''));
    expect(await verdictOn(path, 3)).toEqual({ lost, reordered, duplicates });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
