import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

/** Megabytes of a space, after a load as a relay is one: a window, and garbage. */
async function spaceAfterLoad(name: 'new_space' | 'old_space', first: string): Promise<number> {
  const load = `
    import { getHeapSpaceStatistics } from 'node:v8';
    import { keepHeapSmall, letOldObjectsWait } from ${JSON.stringify(new URL('small-heap.ts', import.meta.url).href)};
    ${first}
    const window = new Array(20_000);
    const sizes = [];
    for (let at = 0; at < 2_000_000; at += 1) {
      window[at % window.length] = { at, id: 'event ' + at, entity: 'key ' + (at % 97) };
      if (at % 50_000 !== 0) continue;
      const space = getHeapSpaceStatistics().find(({ space_name }) => space_name === '${name}');
      sizes.push(space.space_size);
    }
    // Not the largest: a machine that is busy lets the collector's helpers come late now and then.
    console.log(sizes.toSorted((a, b) => a - b)[sizes.length >> 1] / 1e6);
  `;
  const node = promisify(execFile);
  const { stdout } = await node(process.execPath, ['--input-type=module', '-e', load]);
  return Number(stdout);
}

// Node may change what these flags do, or drop them: it would say nothing.
test('the space for new objects stays as it was at the start', async () => {
  const [left, told] = await Promise.all([
    spaceAfterLoad('new_space', ''),
    spaceAfterLoad('new_space', 'keepHeapSmall();'),
  ]);
  expect(told).toBeLessThan(16);
  expect(left).toBeGreaterThan(2 * told);
});

test('old objects wait longer where that is said', async () => {
  const [small, waiting] = await Promise.all([
    spaceAfterLoad('old_space', 'keepHeapSmall();'),
    spaceAfterLoad('old_space', 'keepHeapSmall(); letOldObjectsWait();'),
  ]);
  expect(waiting).toBeGreaterThan(1.2 * small);
});
