import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/** How many times as large as at the start, one megabyte in each half, the space for new objects is. */
const room = { forPages: 8, forWaiting: 16 };

const mebibyte = 1_024 * 1_024;

/**
 * Tells V8 to keep this process small: the service holds a window of some ten megabytes, and everything else that it
 * makes is garbage within milliseconds. Left alone V8 takes 134 MB for new objects on a machine of 24 GB, and waits long
 * with the rest, because memory seems plenty.
 *
 * Both flags are numbers that are read whenever a heap might grow, so they hold from now on. Measured: half of the
 * memory, at no throughput (docs/performance.md). To be called first: what has grown already stays.
 */
export function keepHeapSmall(): void {
  // New objects: the size at the start, one megabyte in each half. Whoever wants more gives Node --min-semi-space-size.
  setFlagsFromString('--semi-space-growth-factor=1');
  // Old ones: collected when there are twice as many as after the last time.
  setFlagsFromString('--heap-growing-percent=100');
}

/**
 * For any relay: what is read for a replay, a page at a time, lives for some fifty milliseconds. In one megabyte it becomes
 * old, and live events wait while V8 goes through the old ones: their p99 was two and a half times that without a replay
 * (docs/performance.md). After {@link keepHeapSmall}.
 */
export function makeRoomForPages(): void {
  growNewSpace(room.forPages);
}

/**
 * For a process whose sinks keep events until a server that is slower than the WAL has acknowledged them. In a small space
 * all of these become old before, and to look for them in the whole heap takes time: a fifth of the relay's for either part
 * (docs/performance.md). After {@link keepHeapSmall}.
 */
export function makeRoomForWaiting(): void {
  // Old objects wait until there are three times as many.
  setFlagsFromString('--heap-growing-percent=200');
  growNewSpace(room.forWaiting);
}

/**
 * V8 grows the space by the factor once more has survived in it than it holds: a few milliseconds' work. Left to itself with
 * that factor it would grow on.
 */
function growNewSpace(factor: number): void {
  setFlagsFromString(`--semi-space-growth-factor=${factor}`);
  const kept: unknown[] = [];
  // A Node that does it in another way is not waited for.
  for (let chunk = 0; chunk < 400 && newSpaceBytes() < 2 * factor * mebibyte; chunk += 1) {
    kept[chunk % 60] = Array.from({ length: 1_000 }, (_, at) => ({ at }));
  }
  setFlagsFromString('--semi-space-growth-factor=1');
}

function newSpaceBytes(): number {
  const space = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
  return space?.space_size ?? 0;
}
