import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

interface Heap {
  /** Megabytes of the space for new objects. */
  readonly newSpace: number;
  /** How often all old objects were looked through. */
  readonly collections: number;
}

/** After a load as a relay is one: a window of so many events, and garbage. */
async function heapAfterLoad(first: string, inWindow = 20_000): Promise<Heap> {
  const load = `
    import { constants, PerformanceObserver } from 'node:perf_hooks';
    import { getHeapSpaceStatistics } from 'node:v8';
    import { keepHeapSmall, makeRoomForPages, makeRoomForWaiting } from ${JSON.stringify(new URL('small-heap.ts', import.meta.url).href)};
    let collections = 0;
    const observer = new PerformanceObserver((list) => {
      for (const { detail } of list.getEntries()) if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) collections += 1;
    });
    observer.observe({ entryTypes: ['gc'] });
    ${first}
    const window = new Array(${inWindow});
    const sizes = [];
    for (let at = 0; at < 2_000_000; at += 1) {
      window[at % window.length] = { at, id: 'event ' + at, entity: 'key ' + (at % 97) };
      if (at % 50_000 !== 0) continue;
      const space = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
      sizes.push(space.space_size);
      // What the collector did is told later.
      await new Promise((resolve) => setImmediate(resolve));
    }
    // Not the largest: a machine that is busy lets the collector's helpers come late now and then.
    const newSpace = sizes.toSorted((a, b) => a - b)[sizes.length >> 1] / 1e6;
    console.log(JSON.stringify({ newSpace, collections }));
  `;
  const node = promisify(execFile);
  const { stdout } = await node(process.execPath, ['--input-type=module', '-e', load]);
  return JSON.parse(stdout) as Heap;
}

// Node may change what these flags do, or drop them: it would say nothing.
test('the space for new objects stays as it was at the start', async () => {
  const [left, told] = await Promise.all([heapAfterLoad(''), heapAfterLoad('keepHeapSmall();')]);
  expect(told.newSpace).toBeLessThan(16);
  expect(left.newSpace).toBeGreaterThan(2 * told.newSpace);
});

test('it has some megabytes for pages, more where events wait for an answer, and no more', async () => {
  const [told, pages, waiting] = await Promise.all([
    heapAfterLoad('keepHeapSmall();'),
    heapAfterLoad('keepHeapSmall(); makeRoomForPages();'),
    heapAfterLoad('keepHeapSmall(); makeRoomForWaiting();'),
  ]);
  expect(pages.newSpace).toBeGreaterThan(1.5 * told.newSpace);
  expect(pages.newSpace).toBeLessThan(20);
  expect(waiting.newSpace).toBeGreaterThan(1.3 * pages.newSpace);
  expect(waiting.newSpace).toBeLessThan(40);
});

test('old objects wait longer there', async () => {
  const [small, waiting] = await Promise.all([
    heapAfterLoad('keepHeapSmall();', 300_000),
    heapAfterLoad('keepHeapSmall(); makeRoomForWaiting();', 300_000),
  ]);
  expect(waiting.collections).toBeGreaterThan(0);
  expect(small.collections).toBeGreaterThan(1.3 * waiting.collections);
});
