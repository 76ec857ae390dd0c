import { setFlagsFromString } from 'node:v8';

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
  // Old ones: collected when they have become half as much again as they were after the last time.
  setFlagsFromString('--heap-growing-percent=50');
}

/**
 * Lets old objects wait until there are three times as many: for a process whose sinks keep events until a server that is
 * slower than the WAL has acknowledged them. All of these become old, and to look through the heap for them after every
 * half took a fifth of the relay's time (docs/performance.md). After {@link keepHeapSmall}.
 */
export function letOldObjectsWait(): void {
  setFlagsFromString('--heap-growing-percent=200');
}
